//! What a value of `synchronous_standby_names` says, ours or that of somebody else.

/// How many acknowledgements a commit waits for, and whose may count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyNames {
    /// At least one.
    pub acks: usize,
    /// The names as Postgres compares them: whatever their case.
    pub names: Vec<String>,
}

impl StandbyNames {
    /// Reads a value like `ANY 1 (a, b)`, `FIRST 2 (a, b)`, `2 (a, b)` or `a, b`.
    pub fn parse(value: &str) -> Self {
        let list = value.split_once('(').and_then(|(head, list)| {
            let acks: usize = head.split_whitespace().last()?.parse().ok()?;
            Some((acks.max(1), list.trim_end().trim_end_matches(')')))
        });
        let (acks, list) = list.unwrap_or((1, value));
        let names = list.split(',').map(|name| name.trim().trim_matches('"').to_lowercase());
        Self { acks, names: names.filter(|name| !name.is_empty()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;
    use crate::message::CommitRule;

    fn parsed(value: &str) -> (usize, Vec<String>) {
        let StandbyNames { acks, names } = StandbyNames::parse(value);
        (acks, names)
    }

    #[test]
    fn what_is_written_for_a_commit_rule_is_read_back() {
        let rule = CommitRule { standbys: vec![NodeId(2), NodeId(13)], acks: 2 };
        let names = vec!["pgautofailover_standby_2".to_owned(), "pgautofailover_standby_13".to_owned()];
        assert_eq!(parsed(&rule.synchronous_standby_names()), (2, names));
    }

    #[test]
    fn all_forms_are_read() {
        let names = || vec!["a".to_owned(), "b".to_owned()];
        for value in ["ANY 2 (a, b)", "FIRST 2 (a, \"B\")", "2 (a,b)", "any 2(A, b) "] {
            assert_eq!(parsed(value), (2, names()), "{value}");
        }
        assert_eq!(parsed("a, b"), (1, names()));
        assert_eq!(parsed("somebody"), (1, vec!["somebody".to_owned()]));
        assert_eq!(parsed(""), (1, Vec::new()));
    }
}
