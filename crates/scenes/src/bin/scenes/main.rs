//! The program `scenes`: makes images of emoji on plain backgrounds with captions, to train and evaluate a model.

mod canvas;
mod choices;
mod concepts;
mod glyph;
mod icons;
mod layout;
mod plan;
mod random;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use image::{ImageFormat, RgbImage};
use rayon::prelude::*;

use crate::canvas::Canvas;
use crate::concepts::Concept;
use crate::icons::Icons;
use crate::plan::{Company, Scene};
use crate::random::Random;
use crate::record::Record;

/// Make images of emoji with captions
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Output folder for the images and captions.jsonl, new or empty
    folder: PathBuf,
    /// Folder with the unpacked packages fluent-emoji-3d, fluent-emoji-flat and noto
    #[arg(long, value_name = "DIR")]
    icons: PathBuf,
    /// Side of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = clap::value_parser!(u16).range(16..=512))]
    size: u16,
    /// Number of images [default: every combination at least twice with one object]
    #[arg(long, value_name = "N", conflicts_with = "drawings")]
    count: Option<usize>,
    /// Seed of order, size, place and mirroring
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u32,
    /// Use the combinations that are held out from training
    #[arg(long, conflicts_with = "drawings")]
    held_out: bool,
    /// Make one image of every combination, with one object in the middle
    #[arg(long)]
    drawings: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output. A wrong argument exits with the same code as all other errors of the
            // caller.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments) {
        Ok(summary) => {
            eprintln!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the folder is new, and its list is written last")]
fn run(arguments: &Arguments) -> Result<String> {
    let Arguments { folder, seed, held_out, .. } = arguments;
    let concepts = Concept::table()?;
    let icons = Icons::read(&arguments.icons, &concepts)?;
    let scenes = if arguments.drawings {
        plan::drawings(&concepts)
    } else {
        let count = arguments.count.unwrap_or_else(|| plan::usual_count(&concepts, *held_out));
        plan::scenes(&concepts, *held_out, count, *seed)
    };

    make_empty(folder)?;
    let draw = |(index, scene): (usize, &Scene<'_>)| {
        let record = Record::new(scene, index);
        let mut random = Random::new(*seed, index as u32);
        let image = image(scene, &icons, arguments, &mut random)?;
        let path = folder.join(&record.file_name);
        image.save_with_format(&path, ImageFormat::Png).with_context(|| path.display().to_string())?;
        Ok(serde_json::to_string(&record)? + "\n")
    };
    let captions = scenes.par_iter().enumerate().map(draw).collect::<Result<String>>()?;
    let path = folder.join("captions.jsonl");
    fs::write(&path, captions).with_context(|| path.display().to_string())?;
    Ok(summary(&concepts, &scenes))
}

/// Fails if the folder has contents, because images of an earlier run would be mixed with the new ones.
fn make_empty(folder: &Path) -> Result<()> {
    let name = || folder.display().to_string();
    fs::create_dir_all(folder).with_context(name)?;
    ensure!(fs::read_dir(folder).with_context(name)?.next().is_none(), "{}: the folder is not empty", name());
    Ok(())
}

fn image(scene: &Scene<'_>, icons: &Icons, arguments: &Arguments, random: &mut Random) -> Result<RgbImage> {
    let size = usize::from(arguments.size);
    let mut canvas = Canvas::filled(size, scene.background.color);
    let object = scene.object;
    let glyph = icons.glyph(object, scene.style)?;
    let second = match scene.company {
        Company::Nothing => None,
        Company::Same => Some(object),
        Company::Other(other) => Some(other),
    };
    if let Some(second) = second {
        let other = icons.glyph(second, scene.style)?;
        let [left, right] = layout::beside([(glyph, object.mirror), (other, second.mirror)], size, random);
        canvas.lay(&glyph.stretched(&left, size));
        canvas.lay(&other.stretched(&right, size));
    } else if arguments.drawings {
        canvas.lay(&glyph.stretched(&layout::centered(glyph, size), size));
    } else {
        canvas.lay(&glyph.stretched(&layout::alone(glyph, object.mirror, size, random), size));
    }
    Ok(canvas.into_image())
}

fn summary(concepts: &[Concept], scenes: &[Scene<'_>]) -> String {
    let (held, shown) = (plan::combinations(concepts, true).len(), plan::combinations(concepts, false).len());
    format!(
        "{} concepts; with style and background {} combinations, {held} of them held out from training; {} images",
        concepts.len(),
        held + shown,
        scenes.len()
    )
}
