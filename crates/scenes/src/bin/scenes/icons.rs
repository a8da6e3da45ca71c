//! The drawings of all concepts, read from the unpacked packages.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::RgbaImage;
use rayon::prelude::*;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::choices::Style;
use crate::concepts::Concept;
use crate::glyph::Glyph;

/// Side of a rendered SVG in pixels, as large as the images of the Fluent emoji.
const SIDE: u32 = 256;

/// A glyph of every concept in every style.
#[derive(Debug)]
pub(crate) struct Icons(HashMap<(&'static str, Style), Glyph>);

impl Icons {
    /// Reads `fluent-emoji-3d`, `fluent-emoji-flat` and `noto` of `folder`.
    pub(crate) fn read(folder: &Path, concepts: &[Concept]) -> Result<Self> {
        let flat = IconSet::read(folder.join("fluent-emoji-flat"))?;
        let noto = IconSet::read(folder.join("noto"))?;
        let solid = folder.join("fluent-emoji-3d").join("assets");
        let wanted: Vec<_> = concepts.iter().flat_map(|concept| Style::ALL.map(|style| (concept, style))).collect();
        let glyph = |&(concept, style): &(&Concept, Style)| {
            let image = match style {
                Style::Solid => webp(&solid, concept.code),
                Style::Flat => flat.render(concept.code),
                Style::Noto => noto.render(concept.code),
            };
            let about = || format!("the {} drawing of {:?} ({})", style.name(), concept.name, concept.code);
            let image = image.with_context(about)?;
            let glyph = Glyph::trimmed(&image).context("nothing is drawn").with_context(about)?;
            Ok(((concept.name, style), glyph))
        };
        wanted.par_iter().map(glyph).collect::<Result<_>>().map(Self)
    }

    /// The glyph of one of the concepts that were read.
    pub(crate) fn glyph(&self, concept: &Concept, style: Style) -> Result<&Glyph> {
        self.0.get(&(concept.name, style)).with_context(|| format!("no {} drawing of {:?}", style.name(), concept.name))
    }
}

/// The image file of these code points, with or without the variation selector for colour.
fn webp(folder: &Path, code: &str) -> Result<RgbaImage> {
    let names = [format!("{code}.webp"), format!("{code}-fe0f.webp")];
    let path = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let path = path.with_context(|| format!("{}: no such file", folder.join(&names[0]).display()))?;
    let mut image = image::open(&path).with_context(|| path.display().to_string())?.into_rgba8();
    for pixel in image.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        let times = |value: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
        pixel.0 = [times(red), times(green), times(blue), alpha];
    }
    Ok(image)
}

/// A package of SVG in Iconify's format: `chars.json` maps code points to names, `icons.json` maps names to the
/// contents of `<svg>`.
struct IconSet {
    path: PathBuf,
    names: HashMap<String, String>,
    icons: Bodies,
}

#[derive(Deserialize)]
struct Bodies {
    width: f32,
    height: f32,
    icons: HashMap<String, Body>,
}

#[derive(Deserialize)]
struct Body {
    body: String,
}

impl IconSet {
    fn read(folder: PathBuf) -> Result<Self> {
        let (names, path) = (json(&folder.join("chars.json"))?, folder.join("icons.json"));
        Ok(Self { names, icons: json(&path)?, path })
    }

    /// Renders an icon. Colours are multiplied by alpha, as in tiny-skia.
    fn render(&self, code: &str) -> Result<RgbaImage> {
        let Bodies { width, height, icons } = &self.icons;
        let icon = self.names.get(code).and_then(|name| icons.get(name));
        let Body { body } = icon.with_context(|| format!("{}: no such icon", self.path.display()))?;
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
             viewBox=\"0 0 {width} {height}\" width=\"{SIDE}\" height=\"{SIDE}\">{body}</svg>"
        );
        let tree = Tree::from_str(&svg, &Options::default()).with_context(|| self.path.display().to_string())?;
        let mut pixmap = Pixmap::new(SIDE, SIDE).context("no memory for an image")?;
        resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
        RgbaImage::from_raw(SIDE, SIDE, pixmap.take()).context("the image has another size")
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}
