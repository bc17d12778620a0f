//! The lines that `doctor` prints, and its conclusion.

#[derive(Default)]
pub(super) struct Report {
    failures: u32,
    warnings: u32,
}

impl Report {
    pub(super) fn check(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => println!("{name:<11} ok"),
            Err(hint) => {
                self.failures += 1;
                println!("{name:<11} FAILED  {hint}");
            }
        }
    }

    pub(super) fn ok(&self, name: &str, fact: &str) {
        println!("{name:<11} ok      {fact}");
    }

    /// Reports what works, and is not what production needs.
    pub(super) fn warn(&mut self, name: &str, hint: &str) {
        self.warnings += 1;
        println!("{name:<11} WARNING {hint}");
    }

    pub(super) fn is_ok(&self) -> bool {
        self.failures == 0
    }

    pub(super) fn conclusion(&self, is_simulated: bool) -> String {
        let simulated = if is_simulated {
            " The carriers are simulated: no message reaches a person."
        } else {
            ""
        };
        match (self.failures, self.warnings) {
            (0, 0) => format!("All checks passed.{simulated}"),
            (0, warnings) => format!("No check failed. Warnings: {warnings}; see above.{simulated}"),
            _ => format!("Some checks failed; see above.{simulated}"),
        }
    }
}
