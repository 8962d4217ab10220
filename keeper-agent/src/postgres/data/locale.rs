//! The locale that the environment asks for, as options of initdb. The programs that the keeper runs have none: their
//! messages are read.

/// Categories and their variables. Messages stay in English, for those who search the log.
const CATEGORIES: [(&str, &str); 5] = [
    ("--lc-collate", "LC_COLLATE"),
    ("--lc-ctype", "LC_CTYPE"),
    ("--lc-monetary", "LC_MONETARY"),
    ("--lc-numeric", "LC_NUMERIC"),
    ("--lc-time", "LC_TIME"),
];

/// The options for this environment. The encoding is that of the locale, and UTF8 where the locale has none.
pub(crate) fn options(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let locale_of = |name: &str| set("LC_ALL").or_else(|| set(name)).or_else(|| set("LANG"));
    let mut options = vec!["--lc-messages=C".to_owned()];
    for (option, name) in CATEGORIES {
        options.push(format!("{option}={}", locale_of(name).as_deref().unwrap_or("C")));
    }
    let has_encoding = locale_of("LC_CTYPE").is_some_and(|locale| !matches!(locale.as_str(), "C" | "POSIX"));
    if !has_encoding {
        options.push("--encoding=UTF8".to_owned());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(variables: &[(&str, &str)]) -> String {
        let variable =
            |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        options(variable).join(" ")
    }

    #[test]
    fn the_environment_decides_as_everywhere() {
        let french = joined(&[("LANG", "de_DE.UTF-8"), ("LC_COLLATE", "C"), ("LC_TIME", "fr_FR.UTF-8")]);
        assert!(french.contains("--lc-collate=C "), "{french}");
        assert!(french.contains("--lc-ctype=de_DE.UTF-8"), "{french}");
        assert!(french.contains("--lc-time=fr_FR.UTF-8"), "{french}");
        assert!(!french.contains("--encoding"), "{french}");
        assert!(joined(&[("LC_ALL", "C.UTF-8"), ("LANG", "x")]).contains("--lc-ctype=C.UTF-8"));
        for nothing in [joined(&[]), joined(&[("LANG", "")]), joined(&[("LC_ALL", "POSIX")])] {
            assert!(nothing.ends_with("--encoding=UTF8"), "{nothing}");
        }
    }
}
