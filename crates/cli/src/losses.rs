//! Losses of a training run: a CSV file, a plot, and a summary for the terminal.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use plotters::prelude::{ChartBuilder, IntoDrawingArea, IntoLogRange, LineSeries, RGBColor, SVGBackend, WHITE};
use pyrograph::Output;

/// The losses of a run so far.
pub(crate) struct Losses {
    folder: PathBuf,
    /// `losses.csv`, to which lines are appended; `None` after a line could not be written completely.
    csv: Option<File>,
    all: Vec<(usize, f64)>,
    latest: VecDeque<(f64, Instant, usize)>,
}

/// Number of steps for the mean loss and the speed.
const LATEST: usize = 50;
const HEADER: &str = "step,loss";

impl Losses {
    /// Creates `losses.csv`, or continues it after `steps` steps. Later lines belong to steps that no checkpoint saved,
    /// and are removed.
    pub(crate) fn open(folder: &Path, steps: usize) -> anyhow::Result<Self> {
        let mut losses = Self { folder: folder.to_owned(), csv: None, all: Vec::new(), latest: VecDeque::new() };
        if steps > 0 {
            let before = std::fs::read_to_string(losses.path()).unwrap_or_default();
            let whole = before.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')); // the last line may be incomplete
            losses.all = whole.filter_map(row).filter(|(step, _)| *step <= steps).collect();
        }
        losses.rewrite()?;
        Ok(losses)
    }

    /// Appends a line. If the last line could not be written, the file is written again, so no line is missing or
    /// incomplete.
    pub(crate) fn add(&mut self, step: usize, loss: f64, images: usize) -> anyhow::Result<()> {
        self.all.push((step, loss));
        self.latest.push_back((loss, Instant::now(), images));
        if self.latest.len() > LATEST {
            self.latest.pop_front();
        }
        let Some(mut csv) = self.csv.take() else { return self.rewrite() };
        csv.write_all(format!("{step},{loss}\n").as_bytes()).context("losses.csv")?;
        self.csv = Some(csv);
        Ok(())
    }

    /// Waits until all lines are on the disk. This must happen before a checkpoint is saved.
    pub(crate) fn sync(&self) -> anyhow::Result<()> {
        self.csv.as_ref().map_or(Ok(()), File::sync_data).context("losses.csv")
    }

    fn path(&self) -> PathBuf {
        self.folder.join("losses.csv")
    }

    fn rewrite(&mut self) -> anyhow::Result<()> {
        let lines = |output: &mut Output| -> io::Result<()> {
            writeln!(output, "{HEADER}")?;
            self.all.iter().try_for_each(|(step, loss)| writeln!(output, "{step},{loss}"))
        };
        Output::create(self.path())?.write_with(lines)?;
        self.csv = Some(File::options().append(true).open(self.path()).context("losses.csv")?);
        Ok(())
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
        let mut svg = String::new();
        let drawn = (|| {
            let area = SVGBackend::with_string(&mut svg, (800, 400)).into_drawing_area();
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
        drawn.map_err(|error| anyhow::anyhow!("losses.svg: {error}"))?;
        Ok(Output::save(self.folder.join("losses.svg"), svg)?)
    }
}

fn row(line: &str) -> Option<(usize, f64)> {
    let (step, loss) = line.split_once(',')?;
    Some((step.parse().ok()?, loss.parse().ok()?))
}

/// A running mean with at most a thousand points, because the plot is 800 pixels wide.
fn smoothed(losses: &[(usize, f64)]) -> Vec<(usize, f64)> {
    let chunk = losses.len().div_ceil(1000).max(1);
    let mean = |chunk: &[(usize, f64)]| {
        let step = chunk.last().map_or(0, |(step, _)| *step);
        (step, chunk.iter().map(|(_, loss)| loss).sum::<f64>() / chunk.len() as f64)
    };
    losses.chunks(chunk).map(mean).collect()
}
