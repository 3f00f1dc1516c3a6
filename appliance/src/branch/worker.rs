//! Key exchanges of the branches, on the runtime's few blocking threads.

use hawser_shard::io::{Answer, AskId, KeAnswer, KeRequest};
use tokio::sync::mpsc::UnboundedSender;

/// Has a piece of work done and the answer sent.
pub(crate) fn perform(id: AskId, request: KeRequest, answers: &UnboundedSender<(AskId, Answer)>) {
    let answers = answers.clone();
    tokio::task::spawn_blocking(move || {
        // A branch that died meanwhile wants no answer.
        let _ = answers.send((id, Answer::KeyExchange(answer(request))));
    });
}

fn answer(request: KeRequest) -> KeAnswer {
    let mut rng = rand::rng();
    match request {
        KeRequest::Generate(method) => KeAnswer::Generated(method.generate(&mut rng)),
        KeRequest::Respond {
            method,
            peer_public,
        } => {
            let both = method.generate(&mut rng).and_then(|(private, public)| {
                private.agree(&peer_public).map(|shared| (public, shared))
            });
            KeAnswer::Responded(both)
        }
        KeRequest::Agree {
            private,
            peer_public,
        } => KeAnswer::Agreed(private.agree(&peer_public)),
    }
}
