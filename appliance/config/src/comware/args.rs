//! The words of a command, taken one after the other.

use super::lex::Word;
use crate::problem::{At, Place, nearest};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Why a command cannot be understood or used.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

impl Fault {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            suggestion: None,
        }
    }

    /// The fault of a word that none of `candidates` is.
    pub(super) fn unknown(word: Word<'_>, what: &str, candidates: &[&str]) -> Self {
        let suggestion = nearest(word.text, candidates.iter().copied()).map(str::to_owned);
        Self {
            place: word.place,
            message: format!("unknown {what} `{}`", word.text),
            suggestion,
        }
    }

    /// The fault of something that Comware can do and Hawser cannot.
    pub(super) fn unsupported(place: Place, what: impl Display) -> Self {
        Self::new(place, format!("{what} is not supported yet"))
    }
}

/// What came of a command.
pub(super) enum Done {
    /// It is in the model.
    Taken,
    /// It is understood, and has no effect for this reason.
    NoEffect(&'static str),
}

pub(super) type Outcome = Result<Done, Fault>;

/// The words of a command that are not taken yet.
pub(super) struct Args<'a> {
    words: std::slice::Iter<'a, Word<'a>>,
    last: Place,
}

impl<'a> Args<'a> {
    pub(super) fn new(words: &'a [Word<'a>]) -> Self {
        let last = words.first().map_or(Place::default(), |w| w.place);
        Self {
            words: words.iter(),
            last,
        }
    }

    /// Where the last word was taken.
    pub(super) fn place(&self) -> Place {
        self.last
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.words.as_slice().first().map(|w| w.text)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.as_slice().is_empty()
    }

    /// The next word; `what` is said to be missing where there is none.
    pub(super) fn word(&mut self, what: &str) -> Result<Word<'a>, Fault> {
        let Some(word) = self.words.next().copied() else {
            return Err(Fault::new(self.last, format!("{what} is missing")));
        };
        self.last = word.place;
        Ok(word)
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, keyword: &str) -> bool {
        let is = self.peek() == Some(keyword);
        if is {
            self.last = self.words.next().map_or(self.last, |w| w.place);
        }
        is
    }

    /// Takes the next word, which must be one of these; gives its index.
    pub(super) fn one_of(&mut self, keywords: &[&str]) -> Result<usize, Fault> {
        let word = self.word(&format!("one of `{}`", keywords.join("`, `")))?;
        let index = keywords.iter().position(|k| *k == word.text);
        index.ok_or_else(|| Fault::unknown(word, "keyword", keywords))
    }

    /// Every word that is left.
    pub(super) fn rest(&mut self) -> Vec<Word<'a>> {
        let rest = self.words.as_slice().to_vec();
        self.words = [].iter();
        rest
    }

    /// Refuses what is left, unless nothing is.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.words.as_slice().first() {
            None => Ok(()),
            Some(word) => Err(Fault::new(
                word.place,
                format!("`{}` is not expected", word.text),
            )),
        }
    }

    /// A name of at most 63 characters, which is what Comware allows.
    pub(super) fn name(&mut self, what: &str) -> Result<At<String>, Fault> {
        let word = self.word(what)?;
        if word.text.chars().count() > 63 || word.text.contains(char::is_control) {
            return Err(Fault::new(
                word.place,
                format!("{what} is not 1 to 63 characters"),
            ));
        }
        Ok(At::new(word.place, word.text.to_owned()))
    }

    pub(super) fn number<T>(&mut self, what: &str, range: RangeInclusive<T>) -> Result<At<T>, Fault>
    where
        T: FromStr + PartialOrd + Display,
    {
        let word = self.word(what)?;
        match word.text.parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(At::new(word.place, number)),
            _ => Err(Fault::new(
                word.place,
                format!(
                    "{what} `{}` is not {} to {}",
                    word.text,
                    range.start(),
                    range.end()
                ),
            )),
        }
    }

    /// An address; IPv6 ones follow the word `ipv6`.
    pub(super) fn address(&mut self, what: &str) -> Result<At<IpAddr>, Fault> {
        if self.take("ipv6") {
            return self
                .parsed::<Ipv6Addr>(what, "an IPv6 address")
                .map(|at| at.map(IpAddr::V6));
        }
        self.parsed::<Ipv4Addr>(what, "an IPv4 address")
            .map(|at| at.map(IpAddr::V4))
    }

    /// An address, and the mask or prefix length that may follow; without one the address alone.
    pub(super) fn network(&mut self, what: &str) -> Result<At<IpNet>, Fault> {
        let At { place, value } = self.address(what)?;
        let net = if self.is_empty() {
            IpNet::from(value)
        } else {
            self.mask_for(value)?
        };
        Ok(At::new(place, net.trunc()))
    }

    /// The mask or prefix length that belongs to `address`.
    pub(super) fn mask_for(&mut self, address: IpAddr) -> Result<IpNet, Fault> {
        let address = match address {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) => return self.prefix_for(address),
        };
        let mask = self.word("the mask")?;
        let net = match mask.text.parse::<u8>() {
            Ok(length) => Ipv4Net::new(address, length).ok(),
            Err(_) => Ipv4Net::with_netmask(address, parse(mask, "the mask", "a mask")?).ok(),
        };
        let wrong = || Fault::new(mask.place, format!("`{}` is not a mask", mask.text));
        net.map(IpNet::V4).ok_or_else(wrong)
    }

    /// The prefix length that belongs to `address`.
    pub(super) fn prefix_for(&mut self, address: Ipv6Addr) -> Result<IpNet, Fault> {
        let length = self.number("the prefix length", 0..=128)?;
        let wrong = |_| Fault::new(length.place, "not a prefix length");
        Ipv6Net::new(address, length.value)
            .map(IpNet::V6)
            .map_err(wrong)
    }

    pub(super) fn parsed<T: FromStr>(&mut self, what: &str, is: &str) -> Result<At<T>, Fault> {
        let word = self.word(what)?;
        parse(word, what, is).map(|value| At::new(word.place, value))
    }
}

fn parse<T: FromStr>(word: Word<'_>, what: &str, is: &str) -> Result<T, Fault> {
    if is_placeholder(word.text) {
        let message = format!(
            "replace the placeholder `{}`: {what} is wanted here",
            word.text
        );
        return Err(Fault::new(word.place, message));
    }
    let wrong = || Fault::new(word.place, format!("{what}: `{}` is not {is}", word.text));
    word.text.parse().map_err(|_| wrong())
}

/// Whether the word is an address with letters `x` in the place of numbers, as published texts
/// have it.
fn is_placeholder(word: &str) -> bool {
    let parts: Vec<&str> = word.split(['.', ':']).collect();
    let hidden = |part: &&str| !part.is_empty() && part.bytes().all(|b| b"xX*".contains(&b));
    parts.len() >= 4 && parts.iter().any(hidden)
}
