//! Warnings about algorithms that are weak: they are used only because somebody named them.

use super::Build;
use crate::problem::At;
use hawser_policy::{EspProposal, IkeProposal};
use std::fmt::Display;

impl Build<'_> {
    pub(super) fn judge_ike(&mut self, at: &At<IkeProposal>) {
        let IkeProposal {
            encr,
            integ,
            prf,
            ke,
        } = &at.value;
        let mut weak: Vec<&str> = Vec::new();
        weak.extend(encr.iter().filter(|a| a.is_weak()).map(|a| a.keyword()));
        weak.extend(integ.iter().filter(|a| a.is_weak()).map(|a| a.keyword()));
        weak.extend(prf.iter().filter(|a| a.is_weak()).map(|a| a.keyword()));
        weak.extend(ke.iter().filter(|a| a.is_weak()).map(|a| a.keyword()));
        self.warn_weak("IKE", at, &weak);
    }

    pub(super) fn judge_esp(&mut self, at: &At<EspProposal>) {
        let EspProposal {
            encr, integ, ke, ..
        } = &at.value;
        let mut weak: Vec<&str> = Vec::new();
        weak.extend(encr.iter().filter(|a| a.is_weak()).map(|a| a.keyword()));
        weak.extend(integ.iter().filter(|a| a.is_weak()).map(|a| a.keyword()));
        weak.extend(ke.iter().filter(|a| a.is_weak()).map(|a| a.keyword()));
        self.warn_weak("ESP", at, &weak);
    }

    fn warn_weak<T: Display>(&mut self, kind: &str, at: &At<T>, weak: &[&str]) {
        if !weak.is_empty() {
            let message = format!(
                "the {kind} proposal {} accepts what is weak: {}",
                at.value,
                weak.join(", ")
            );
            self.report.warn(at.place, message);
        }
    }
}
