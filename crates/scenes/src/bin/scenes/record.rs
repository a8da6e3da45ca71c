//! The description of an image: a line of `captions.jsonl`.

use serde::Serialize;

use crate::plan::{Company, Scene};

/// One image with its caption; the keys after `text` are for evaluation.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    pub(crate) file_name: String,
    pub(crate) text: String,
    object: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<&'a str>,
    background: &'a str,
    style: &'a str,
    count: u8,
    category: &'a str,
}

impl<'a> Record<'a> {
    /// The record of the image at `index`, counted from 0; files are counted from 1.
    pub(crate) fn new(scene: &Scene<'a>, index: usize) -> Self {
        let Scene { object, company, background, style } = scene;
        let (objects, second, count) = match company {
            Company::Nothing => (object.one(), None, 1),
            Company::Same => (object.two(), None, 2),
            Company::Other(other) => (format!("{} and {}", object.one(), other.one()), Some(other.name), 2),
        };
        let (background, style) = (background.name, style.name());
        let article = if background == "orange" { "an" } else { "a" };
        Self {
            file_name: format!("{:06}.png", index + 1),
            text: format!("{objects} on {article} {background} background, {style} style"),
            object: object.name,
            second,
            background,
            style,
            count,
            category: object.category,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{BACKGROUNDS, Style};
    use crate::concepts::Concept;

    #[test]
    fn captions_are_english() {
        let table = Concept::table().unwrap();
        let find = |name| table.iter().find(|concept| concept.name == name).unwrap();
        let text = |company, background| {
            Record::new(&Scene { object: find("cat"), company, background, style: Style::Solid }, 0).text
        };
        assert_eq!(text(Company::Nothing, BACKGROUNDS[2]), "a cat on a yellow background, 3d style");
        assert_eq!(text(Company::Same, BACKGROUNDS[1]), "two cats on an orange background, 3d style");
        assert_eq!(
            text(Company::Other(find("owl")), BACKGROUNDS[9]),
            "a cat and an owl on a black background, 3d style"
        );
    }

    #[test]
    fn a_line_has_the_keys_of_an_evaluation() {
        let table = Concept::table().unwrap();
        let scene =
            Scene { object: &table[0], company: Company::Nothing, background: BACKGROUNDS[0], style: Style::Noto };
        assert_eq!(
            serde_json::to_string(&Record::new(&scene, 41)).unwrap(),
            r#"{"file_name":"000042.png","text":"a red apple on a red background, noto style","object":"red apple","background":"red","style":"noto","count":1,"category":"fruit"}"#
        );
    }
}
