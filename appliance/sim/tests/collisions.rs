//! What a branch and headquarters do at the same time, and what the network does to one of the
//! messages of it: strongSwan's rekey suites (`test_child_rekey.c`, `test_ike_rekey.c`), for whole
//! devices. Each combination is a test by its name; every one ends with one usable pair.

use hawser_shard::io::{Command, RekeyWhat};
use hawser_sim::branch::Act;
use hawser_sim::habits::{Habits, Reauthentication};
use hawser_sim::plan::Plan;
use hawser_sim::world::{Side, Tamper, World};
use libtest_mimic::{Arguments, Failed, Trial};
use std::time::Duration;

/// What the branch does.
const BRANCH: &[(&str, Act, Option<Reauthentication>)] = &[
    ("rekeys_child", Act::RekeyChild, None),
    ("rekeys_ike", Act::RekeyIke, None),
    ("deletes_child", Act::DeleteChild, None),
    ("deletes_ike", Act::DeleteIke, None),
    ("probes", Act::Probe, None),
    (
        "breaks_before_making",
        Act::Reauthenticate,
        Some(Reauthentication::BreakBeforeMake),
    ),
    (
        "makes_before_breaking",
        Act::Reauthenticate,
        Some(Reauthentication::MakeBeforeBreak),
    ),
];

/// What headquarters does.
#[derive(Clone, Copy)]
enum Headquarters {
    Nothing,
    Rekey(RekeyWhat),
    Ping,
    Reset,
}

const HEADQUARTERS: &[(&str, Headquarters)] = &[
    ("nothing", Headquarters::Nothing),
    ("rekeys_child", Headquarters::Rekey(RekeyWhat::Children)),
    ("rekeys_ike", Headquarters::Rekey(RekeyWhat::Ike)),
    ("rekeys_all", Headquarters::Rekey(RekeyWhat::All)),
    ("pings", Headquarters::Ping),
    ("resets", Headquarters::Reset),
];

const SECOND: Duration = Duration::from_secs(1);

/// The first is a request, the second (where both begin at once) the response, the third what
/// follows. Longer than a round trip, longer than a retransmission of headquarters, and for ever.
fn tampers() -> Vec<(String, Option<Tamper>)> {
    let delays = [
        ("late", Some(Duration::from_millis(300))),
        ("very_late", Some(Duration::from_secs(6))),
        ("lost", None),
    ];
    let mut all = vec![("in_time".to_owned(), None)];
    for (name, from) in [("branch", Side::Branch), ("headquarters", Side::Gateway)] {
        for skip in 0..4 {
            for (word, delay) in delays {
                let tamper = Tamper { from, skip, delay };
                all.push((format!("message_{skip}_of_{name}_{word}"), Some(tamper)));
            }
        }
    }
    all
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (branch_does, act, reauthentication) in BRANCH {
        for (headquarters_does, command) in HEADQUARTERS {
            let name = format!("branch_{branch_does}::headquarters_{headquarters_does}");
            let trial = move || meet(*act, *reauthentication, *command);
            trials.push(Trial::test(name, trial));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Every tamper in a world of its own.
fn meet(
    act: Act,
    reauthentication: Option<Reauthentication>,
    command: Headquarters,
) -> Result<(), Failed> {
    let failures: Vec<String> = tampers()
        .into_iter()
        .filter_map(|(name, tamper)| {
            let why = collide(act, reauthentication, command, tamper).err()?;
            Some(format!("{name}: {why}"))
        })
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(failures.join("\n").into())
}

fn collide(
    act: Act,
    reauthentication: Option<Reauthentication>,
    command: Headquarters,
    tamper: Option<Tamper>,
) -> Result<(), String> {
    let habits = Habits {
        reauthentication: reauthentication.map(|how| (how, 100_000 * SECOND)),
        ..Habits::strongswan()
    };
    let mut world = World::new(Plan::quiet(1, &[habits]), true);
    run(&mut world, act, command, tamper)
        .map_err(|why| format!("{why}\n  {}", world.trace.lines().join("\n  ")))
}

fn run(
    world: &mut World,
    act: Act,
    command: Headquarters,
    tamper: Option<Tamper>,
) -> Result<(), String> {
    world.run(20 * SECOND);
    world
        .answers_within(0, 5 * SECOND)
        .ok_or("it never came up")?;
    world.tampers.extend(tamper);
    world.with_branch(0, |branch, now| branch.act(now, act));
    give(world, command);
    world.run(SECOND);
    world.settles(0)
}

fn give(world: &mut World, command: Headquarters) {
    let device = world.gateway.show(world.now)[0].line.device;
    let command = match command {
        Headquarters::Nothing => return,
        Headquarters::Rekey(what) => Command::Rekey(device, what),
        Headquarters::Ping => Command::Ping(device),
        Headquarters::Reset => Command::Reset(device),
    };
    world.command(&command);
}
