//! What happens to the branches, and when.

use super::Options;
use super::board::{Board, State};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

/// What a branch has to go through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Its NAT forgets its mappings: the next packet comes from other ports.
    Rebind,
    /// Its NAT lets nothing through for a while, and forgets its mappings.
    GoDark(Duration),
    /// It is switched off without a word, for a while.
    Die(Duration),
}

/// Orders for each branch.
pub(super) fn channels(
    branches: u8,
) -> (Vec<UnboundedSender<Order>>, Vec<UnboundedReceiver<Order>>) {
    (0..branches).map(|_| unbounded_channel()).unzip()
}

/// Disturbs the branches, in parts of the demo's length: quiet to 25 %, then one branch dies and
/// another one's NAT goes dark while NATs rebind at random, then quiet from 75 % on.
pub(super) async fn perform(
    options: Options,
    orders: Vec<UnboundedSender<Order>>,
    board: Arc<Board>,
) {
    let part = |p: f64| options.length.mul_f64(p);
    let mut rng = StdRng::seed_from_u64(options.seed);
    let give = |number: u8, order| {
        let _ = orders[usize::from(number) - 1].send(order);
    };
    loop {
        sleep(part(0.25)).await;
        let mut left: Vec<u8> = (1..=options.branches).collect();
        let pick = |rng: &mut StdRng, left: &mut Vec<u8>| {
            let is_up = |n: &&u8| board.branch(**n).state == State::Up;
            let number = left.iter().filter(is_up).choose(rng).copied()?;
            left.retain(|n| *n != number);
            Some(number)
        };
        if options.branches > 2 {
            pick(&mut rng, &mut left).inspect(|n| give(*n, Order::Die(part(0.45))));
            pick(&mut rng, &mut left).inspect(|n| give(*n, Order::GoDark(part(0.1))));
        }
        let rebinds = (options.branches / 4).clamp(1, 12);
        for _ in 0..rebinds {
            sleep(
                part(0.4)
                    .div_f64(f64::from(rebinds))
                    .mul_f64(rng.random_range(0.6..1.2)),
            )
            .await;
            pick(&mut rng, &mut left).inspect(|n| give(*n, Order::Rebind));
        }
        if !options.keep {
            std::future::pending::<()>().await;
        }
    }
}
