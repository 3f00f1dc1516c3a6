//! The thread that judges drops and writes them down.

use super::burst::{Burst, Case, MassEvent, Piece, Ready};
use super::store::{Incident, Store, Writing};
use super::{Mail, Shelf};
use hawser_flight::verdict::{NodeHealth, Situation, Verdict, judge};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often what waits is looked at.
const TICK: Duration = Duration::from_millis(500);

/// Runs until the engine is gone; what waits then is written.
pub(super) fn run(mail: &Receiver<Mail>, shelf: &Shelf) {
    let mut burst = Burst::default();
    loop {
        let first = mail.recv_timeout(TICK);
        let ended = matches!(first, Err(RecvTimeoutError::Disconnected));
        let were_up = shelf.health().were_up();
        let (mut ready, mut flushed) = (Vec::new(), Vec::new());
        for mail in first.into_iter().chain(mail.try_iter()) {
            match mail {
                Mail::Case(case) => ready.extend(burst.take(*case, were_up)),
                Mail::Flush(done) => flushed.push(done),
            }
        }
        ready.extend(burst.due(Instant::now(), ended || !flushed.is_empty()));
        if !ready.is_empty() {
            keep(shelf, ready);
        }
        // Whoever waited may have gone.
        for done in flushed {
            let _ = done.send(());
        }
        if ended {
            return;
        }
    }
}

fn keep(shelf: &Shelf, ready: Vec<Ready>) {
    let health = shelf.health().lately(Instant::now());
    let store = shelf.store.as_ref();
    let mut writing = Writing::default();
    for ready in ready {
        match ready {
            Ready::Drop {
                case,
                together,
                settled,
            } => {
                let incident = judged(&case, together, health);
                if settled {
                    shelf.count(incident.finding.verdict, 1);
                }
                writing.drops.push(incident);
            }
            Ready::Back(case) => writing.drops.extend(store.and_then(|s| revised(s, &case))),
            Ready::Mass(piece) => {
                let new = piece.dropped.len() - piece.known;
                shelf.count(Verdict::MassEvent, new as u64);
                mass_event(piece, health, &mut writing);
            }
        }
    }
    if let Some(Err(error)) = store.map(|store| store.write(&writing)) {
        tracing::error!("drops are not kept: {error}");
    }
}

fn mass_event(piece: Piece, health: NodeHealth, writing: &mut Writing) {
    let replaced = piece.instead_of.iter();
    writing
        .replaced
        .extend(replaced.map(|case| (case.peer.key(), case.at_ms)));
    let event = MassEvent {
        at_ms: piece.at_ms,
        dropped: piece.dropped,
        health,
    };
    writing.masses.push((event, piece.known));
}

fn judged(case: &Case, together: u32, health: NodeHealth) -> Incident {
    let recording = case.recording();
    let identity = &case.peer.identity;
    let situation = Situation::last_drop(identity, &recording.entries, case.at_ms);
    let alone = Situation::living(identity, &recording.entries);
    let situation = Situation {
        health,
        // The rule counts only what the burst made one event of.
        together: 1,
        ..situation.unwrap_or(alone)
    };
    Incident {
        peer: case.peer.clone(),
        at_ms: case.at_ms,
        cause: situation.cause(),
        finding: judge(&situation),
        together,
        health,
        recording,
    }
}

/// It has come back: what is kept of the drop is judged again.
fn revised(store: &Store, case: &Case) -> Option<Incident> {
    let kept = store.last(&case.peer.key(), case.at_ms).ok()??;
    let is_it = kept.at_ms == case.at_ms;
    is_it.then(|| judged(case, kept.together, kept.health))
}
