//! Which lane computes what: a lane that is done with its message takes the next.

use super::Message;
use super::key::{BLOCK_LEN, Function, LaneKey, OnLanes, Rows, State, WORDS, Width};
use super::vectors::Vectors;

/// A block for lanes that have nothing to do.
static IDLE: [u8; BLOCK_LEN] = [0; BLOCK_LEN];
/// Octets of the message length at the end of the last block.
const LENGTH_LEN: usize = 8;

/// The state after one block from the beginning.
pub(super) fn absorb(width: Width, function: Function, block: &[u8; BLOCK_LEN]) -> State {
    struct Absorb<'a>(Function, &'a [u8; BLOCK_LEN]);
    impl OnLanes for Absorb<'_> {
        type Output = State;

        #[inline(always)]
        fn call<V: Vectors<N>, const N: usize>(self, simd: V) -> State {
            let mut rows = self.0.initial().map(|word| [word; N]);
            self.0.compress(simd, &mut rows, &[self.1; N]);
            rows.map(|row| row[0])
        }
    }
    width.run(Absorb(function, block))
}

/// Computes the codes of all messages.
pub(super) fn run(width: Width, key: &LaneKey, messages: &mut [Message<'_>]) {
    struct Run<'r, 'm> {
        key: &'r LaneKey,
        messages: &'r mut [Message<'m>],
    }
    impl OnLanes for Run<'_, '_> {
        type Output = ();

        #[inline(always)]
        fn call<V: Vectors<N>, const N: usize>(self, simd: V) {
            // Known at compile time in each arm, so that the rounds are not chosen block by block.
            match self.key.function {
                Function::Sha1 => compute(simd, self.key, Function::Sha1, self.messages),
                Function::Sha256 => compute(simd, self.key, Function::Sha256, self.messages),
            }
        }
    }
    width.run(Run { key, messages });
}

/// What a lane does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    /// The whole blocks of the message.
    Data,
    /// The rest of the message and the padding.
    Tail,
    /// The outer hash.
    Outer,
}

/// A lane at work.
#[derive(Clone, Copy)]
struct Work {
    stage: Stage,
    message: usize,
    /// Whole blocks of this stage that are done, and all.
    done: usize,
    blocks: usize,
    /// The blocks of `Tail` and `Outer`.
    last: [u8; 2 * BLOCK_LEN],
}

#[inline(always)]
fn compute<V: Vectors<N>, const N: usize>(
    simd: V,
    key: &LaneKey,
    function: Function,
    messages: &mut [Message<'_>],
) {
    let mut rows: Rows<N> = [[0; N]; WORDS];
    let mut next = 0;
    let mut lanes = [Work::IDLE; N];
    loop {
        for (column, lane) in lanes.iter_mut().enumerate() {
            if lane.stage == Stage::Idle && next < messages.len() {
                lane.begin(next, &messages[next]);
                put(&mut rows, column, &key.inner);
                next += 1;
            }
        }
        let busy = lanes.iter().filter(|lane| lane.stage != Stage::Idle);
        let Some(steps) = busy.map(|lane| lane.blocks - lane.done).min() else {
            return;
        };
        for step in 0..steps {
            let blocks = std::array::from_fn(|i| lanes[i].block(messages, step));
            function.compress(simd, &mut rows, &blocks);
        }
        for (column, lane) in lanes.iter_mut().enumerate() {
            lane.done += steps;
            if lane.done == lane.blocks || lane.stage == Stage::Idle {
                advance(key, messages, &mut rows, column, lane);
            }
        }
    }
}

/// The lane is through with its stage.
#[inline(always)]
fn advance<const N: usize>(
    key: &LaneKey,
    messages: &mut [Message<'_>],
    rows: &mut Rows<N>,
    column: usize,
    lane: &mut Work,
) {
    match lane.stage {
        Stage::Idle => {}
        Stage::Data => lane.tail(&messages[lane.message]),
        Stage::Tail => {
            let digest = digest(rows, column);
            lane.outer(&digest.as_flattened()[..key.function.digest_len()]);
            put(rows, column, &key.outer);
        }
        Stage::Outer => {
            let digest = digest(rows, column);
            let code = &mut messages[lane.message].code;
            let len = code.len().min(key.function.digest_len());
            code[..len].copy_from_slice(&digest.as_flattened()[..len]);
            *lane = Work::IDLE;
        }
    }
}

impl Work {
    const IDLE: Self = Self {
        stage: Stage::Idle,
        message: 0,
        done: 0,
        blocks: 0,
        last: [0; 2 * BLOCK_LEN],
    };

    fn begin(&mut self, number: usize, message: &Message<'_>) {
        self.message = number;
        self.stage = Stage::Data;
        (self.done, self.blocks) = (0, message.data.len() / BLOCK_LEN);
        if self.blocks == 0 {
            self.tail(message);
        }
    }

    fn tail(&mut self, message: &Message<'_>) {
        let rest = &message.data[message.data.len() / BLOCK_LEN * BLOCK_LEN..];
        let hashed = message.data.len() + message.suffix().len();
        self.stage = Stage::Tail;
        self.pad(&[rest, message.suffix()], hashed);
    }

    fn outer(&mut self, inner_digest: &[u8]) {
        self.stage = Stage::Outer;
        self.pad(&[inner_digest], inner_digest.len());
    }

    /// The last blocks of a hash (FIPS 180-4 section 5.1.1): what is left, a bit, zeros and the length, the key's block included.
    fn pad(&mut self, parts: &[&[u8]], hashed: usize) {
        self.last = [0; 2 * BLOCK_LEN];
        let mut at = 0;
        for part in parts {
            self.last[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.last[at] = 0x80;
        (self.done, self.blocks) = (0, (at + 1 + LENGTH_LEN).div_ceil(BLOCK_LEN));
        let end = self.blocks * BLOCK_LEN;
        let bits = 8 * (BLOCK_LEN + hashed) as u64;
        self.last[end - LENGTH_LEN..end].copy_from_slice(&bits.to_be_bytes());
    }

    /// The block that comes `step` blocks after those that are done.
    #[inline(always)]
    fn block<'a>(&'a self, messages: &'a [Message<'_>], step: usize) -> &'a [u8; BLOCK_LEN] {
        let from = (self.done + step) * BLOCK_LEN;
        let source = match self.stage {
            Stage::Idle => return &IDLE,
            Stage::Data => messages[self.message].data,
            Stage::Tail | Stage::Outer => &self.last[..],
        };
        source[from..].first_chunk().unwrap_or(&IDLE)
    }
}

#[inline(always)]
fn put<const N: usize>(rows: &mut Rows<N>, column: usize, state: &State) {
    for (row, word) in rows.iter_mut().zip(state) {
        row[column] = *word;
    }
}

/// The digest of a lane as it is sent; of SHA-1 the first five words count.
#[inline(always)]
fn digest<const N: usize>(rows: &Rows<N>, column: usize) -> [[u8; 4]; WORDS] {
    rows.map(|row| row[column].to_be_bytes())
}
