//! The objects of the images: the table `concepts.csv`, and the names of concepts in captions.

use anyhow::{Context, Result, ensure};

const TABLE: &str = include_str!("../../../concepts.csv");
const HEADER: &str = "name,plural,code,category,mirror";

/// An object that all three styles have a drawing of.
#[derive(Debug, PartialEq)]
pub(crate) struct Concept {
    /// As in "a red apple", without the article.
    pub(crate) name: &'static str,
    /// As in "two red apples", without the number.
    pub(crate) plural: &'static str,
    /// Code points in hexadecimal, joined by `-`, without the variation selector at the end.
    pub(crate) code: &'static str,
    /// The group of the object in evaluations: `fruit`, `animal`, `vehicle` and so on.
    pub(crate) category: &'static str,
    /// Whether the drawing may be mirrored; false if one of the styles has letters or digits.
    pub(crate) mirror: bool,
}

impl Concept {
    /// The concepts in the order of the table.
    pub(crate) fn table() -> Result<Vec<Self>> {
        let mut lines = TABLE.lines();
        ensure!(lines.next() == Some(HEADER), "concepts.csv does not begin with {HEADER}");
        lines.map(|line| Self::parse(line).with_context(|| format!("concepts.csv: {line}"))).collect()
    }

    fn parse(line: &'static str) -> Result<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let &[name, plural, code, category, mirror] = fields.as_slice() else {
            anyhow::bail!("{} fields instead of five", fields.len());
        };
        ensure!(matches!(mirror, "yes" | "no"), "mirror is neither yes nor no");
        Ok(Self { name, plural, code, category, mirror: mirror == "yes" })
    }

    /// The name with its article: "an owl", "a unicorn".
    pub(crate) fn one(&self) -> String {
        let vowel = self.name.starts_with(['a', 'e', 'i', 'o', 'u']);
        let spoken_otherwise = self.name.starts_with("uni") || self.name.starts_with("hour");
        let article = if vowel != spoken_otherwise { "an" } else { "a" };
        format!("{article} {}", self.name)
    }

    /// The plural with its number: "two sheep".
    pub(crate) fn two(&self) -> String {
        format!("two {}", self.plural)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn find(name: &str) -> Concept {
        Concept::table().unwrap().into_iter().find(|concept| concept.name == name).expect(name)
    }

    #[test]
    fn articles_follow_the_sound() {
        for (name, one) in [
            ("owl", "an owl"),
            ("unicorn", "a unicorn"),
            ("hourglass", "an hourglass"),
            ("umbrella", "an umbrella"),
            ("horse", "a horse"),
            ("cat", "a cat"),
        ] {
            assert_eq!(find(name).one(), one);
        }
    }

    #[test]
    fn plurals_are_english() {
        for (name, two) in [
            ("sheep", "two sheep"),
            ("mouse", "two mice"),
            ("wolf", "two wolves"),
            ("fish", "two fish"),
            ("snowman", "two snowmen"),
            ("butterfly", "two butterflies"),
            ("bus", "two buses"),
            ("tomato", "two tomatoes"),
        ] {
            assert_eq!(find(name).two(), two);
        }
        // All other plurals end in s.
        let others = ["sheep", "mice", "fish", "tropical fish", "snowmen", "cacti"];
        for concept in Concept::table().unwrap() {
            assert!(concept.plural.ends_with('s') || others.contains(&concept.plural), "{}", concept.plural);
        }
    }

    #[test]
    fn names_and_codes_occur_once() {
        let table = Concept::table().unwrap();
        assert!(table.len() >= 160);
        let distinct = |field: fn(&Concept) -> &str| table.iter().map(field).collect::<HashSet<_>>().len();
        assert_eq!(distinct(|concept| concept.name), table.len());
        assert_eq!(distinct(|concept| concept.plural), table.len());
        assert_eq!(distinct(|concept| concept.code), table.len());
        assert!(table.iter().all(|concept| concept.name.split(' ').count() <= 2));
    }

    #[test]
    fn a_line_with_a_field_too_few_is_an_error() {
        assert!(Concept::parse("cat,cats,1f431,animal").is_err());
        assert!(Concept::parse("cat,cats,1f431,animal,maybe").is_err());
    }
}
