//! Losses of a training run: a CSV file, a plot, and a line to read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use plotters::prelude::{ChartBuilder, IntoDrawingArea, IntoLogRange, LineSeries, RGBColor, SVGBackend, WHITE};

/// What was lost so far.
pub(crate) struct Losses {
    folder: PathBuf,
    csv: BufWriter<File>,
    all: Vec<(usize, f64)>,
    latest: VecDeque<(f64, Instant, usize)>,
}

/// Steps that the mean loss and the speed are taken over.
const LATEST: usize = 50;
const HEADER: &str = "step,loss";

impl Losses {
    /// Begins `losses.csv`, or goes on after `steps` of it; what lies beyond was not saved in a checkpoint.
    pub(crate) fn open(folder: &Path, steps: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let path = folder.join("losses.csv");
        let before = if steps > 0 { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        let all: Vec<(usize, f64)> = before.lines().filter_map(row).filter(|(step, _)| *step <= steps).collect();
        let csv = File::create(&path).with_context(|| path.display().to_string())?;
        let mut losses = Self { folder: folder.to_owned(), csv: BufWriter::new(csv), all, latest: VecDeque::new() };
        writeln!(losses.csv, "{HEADER}")?;
        for (step, loss) in &losses.all {
            writeln!(losses.csv, "{step},{loss}")?;
        }
        losses.csv.flush()?;
        Ok(losses)
    }

    pub(crate) fn add(&mut self, step: usize, loss: f64, images: usize) -> anyhow::Result<()> {
        self.all.push((step, loss));
        self.latest.push_back((loss, Instant::now(), images));
        if self.latest.len() > LATEST {
            self.latest.pop_front();
        }
        writeln!(self.csv, "{step},{loss}").and_then(|()| self.csv.flush()).context("losses.csv")
    }

    /// The mean loss of the latest steps, and the speed.
    pub(crate) fn summary(&self) -> String {
        let count = self.latest.len().max(1);
        let loss = self.latest.iter().map(|(loss, ..)| loss).sum::<f64>() / count as f64;
        let (Some((_, first, _)), Some((_, last, _))) = (self.latest.front(), self.latest.back()) else {
            return String::new();
        };
        let images: usize = self.latest.iter().skip(1).map(|(_, _, images)| images).sum();
        let speed = images as f64 / (*last - *first).as_secs_f64().max(1e-9);
        if images == 0 { format!("loss {loss:.4}") } else { format!("loss {loss:.4}, {speed:.1} images/s") }
    }

    /// Draws `losses.svg`: the losses, smoothed, on a logarithmic axis.
    pub(crate) fn plot(&self) -> anyhow::Result<()> {
        let smooth = smoothed(&self.all);
        let positive = smooth.iter().map(|(_, loss)| *loss).filter(|loss| *loss > 0.0);
        let (least, most) = positive.fold((f64::MAX, 0.0_f64), |(least, most), loss| (least.min(loss), most.max(loss)));
        let Some(last) = smooth.last().map(|(step, _)| *step).filter(|_| most > 0.0) else { return Ok(()) };
        let path = self.folder.join("losses.svg");
        let area = SVGBackend::new(&path, (800, 400)).into_drawing_area();
        let drawn = (|| {
            area.fill(&WHITE)?;
            let axes = (0..last + 1, (least * 0.9..most * 1.1).log_scale());
            let mut chart = ChartBuilder::on(&area)
                .margin(16)
                .x_label_area_size(32)
                .y_label_area_size(56)
                .build_cartesian_2d(axes.0, axes.1)?;
            chart.configure_mesh().x_desc("step").y_desc("loss").light_line_style(WHITE).draw()?;
            chart.draw_series(LineSeries::new(smooth, RGBColor(200, 70, 20)))?;
            area.present()
        })();
        drawn.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
    }
}

fn row(line: &str) -> Option<(usize, f64)> {
    let (step, loss) = line.split_once(',')?;
    Some((step.parse().ok()?, loss.parse().ok()?))
}

/// A running mean, of which 800 pixels show no more than a thousand points.
fn smoothed(losses: &[(usize, f64)]) -> Vec<(usize, f64)> {
    let chunk = losses.len().div_ceil(1000).max(1);
    let mean = |chunk: &[(usize, f64)]| {
        let step = chunk.last().map_or(0, |(step, _)| *step);
        (step, chunk.iter().map(|(_, loss)| loss).sum::<f64>() / chunk.len() as f64)
    };
    losses.chunks(chunk).map(mean).collect()
}
