//! What the user can do about an error or a warning. The command line chooses the texts, since they
//! name its commands and settings; this file completes them for one profile.

use api::{Code, Condition};

/// Chooses what the user can do.
#[derive(Debug, Clone, Copy)]
pub struct HintTexts {
    /// About an error.
    pub error: fn(Code) -> Option<&'static str>,
    /// About a warning.
    pub warning: fn(&Condition) -> Vec<String>,
}

/// The hints of one profile.
#[derive(Debug, Clone)]
pub(crate) struct Hints {
    texts: HintTexts,
    profile: String,
}

impl Hints {
    pub(crate) fn new(texts: HintTexts, profile: &str) -> Self {
        Self { texts, profile: profile.to_owned() }
    }

    pub(crate) fn of_error(&self, code: Code) -> Option<String> {
        (self.texts.error)(code).map(|hint| self.for_profile(hint))
    }

    pub(crate) fn of_condition(&self, condition: &Condition) -> Vec<String> {
        let hints = (self.texts.warning)(condition);
        hints.iter().map(|hint| self.for_profile(hint)).collect()
    }

    /// A hint whose commands name this profile: another profile's `init` would change another
    /// token.
    fn for_profile(&self, hint: &str) -> String {
        match self.profile.as_str() {
            "default" => hint.to_owned(),
            profile => hint.replace("`dockbridge ", &format!("`dockbridge --profile {profile} ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_hints_name_the_profile() {
        let texts = HintTexts {
            error: |_| Some("`dockbridge init` saves one"),
            warning: |_| vec!["`dockbridge cost` lists it".to_owned()],
        };
        let condition = Condition::BudgetNearlySpent { percent: 90 };
        let own = Hints::new(texts, "m");
        assert_eq!(
            own.of_error(Code::TokenInvalid).as_deref(),
            Some("`dockbridge --profile m init` saves one")
        );
        assert_eq!(own.of_condition(&condition), ["`dockbridge --profile m cost` lists it"]);
        let default = Hints::new(texts, "default");
        assert_eq!(default.of_condition(&condition), ["`dockbridge cost` lists it"]);
    }
}
