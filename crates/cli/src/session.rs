//! The loop of a training run, and the files that it writes.

use anyhow::anyhow;
use indicatif::ProgressBar;
use pyrograph::GeneratedImage;
use pyrograph_train::{Run, RunFolder, Task, TrainError};

use crate::losses::Losses;
use crate::progress::{self, print_line};

/// A training run with its folder.
pub(crate) struct Session<'a, T: Task> {
    run: &'a mut Run<T>,
    folder: RunFolder,
    losses: Losses,
    /// The step of the latest checkpoint.
    saved: usize,
    /// Whether a warning was printed that losses or samples could not be written.
    warned: bool,
}

/// Steps between progress lines if there is no terminal for a progress bar.
const SPOKEN_EVERY: usize = 100;

impl<'a, T: Task> Session<'a, T> {
    /// Starts a run, or continues it after the steps that it has made.
    pub(crate) fn open(run: &'a mut Run<T>, folder: RunFolder) -> anyhow::Result<Self> {
        let losses = Losses::open(folder.path(), run.steps())?;
        let saved = run.steps();
        Ok(Self { run, folder, losses, saved, warned: false })
    }

    /// Trains until the run is done or interrupted.
    pub(crate) fn train(&mut self, is_interrupted: impl Fn() -> bool) -> anyhow::Result<()> {
        let total = self.run.recipe().trainer.steps;
        let bar = progress::training(total, self.run.steps());
        while self.run.steps() < total && !is_interrupted() {
            self.step(&bar)?;
        }
        bar.finish_and_clear();
        if self.run.steps() < total {
            self.save()?;
            print_line(format_args!("stopped after step {} and saved; {}", self.run.steps(), self.resume_advice()));
            return Ok(());
        }
        self.run.export(&self.folder.model())?;
        print_line(format_args!("{} (final {})", self.folder.model().display(), self.losses.summary()));
        Ok(())
    }

    fn step(&mut self, bar: &ProgressBar) -> anyhow::Result<()> {
        let loss = self.run.step().map_err(|error| self.give_up(&error))?;
        let (step, total) = (self.run.steps(), self.run.recipe().trainer.steps);
        let added = self.losses.add(step, loss, self.run.images_per_step());
        self.tolerate(added);
        bar.set_position(step as u64);
        let said: Vec<String> = [Some(self.losses.summary()), self.run.report()].into_iter().flatten().collect();
        bar.set_message(said.join(", "));
        if bar.is_hidden() && step.is_multiple_of(SPOKEN_EVERY) {
            print_line(format_args!("step {step} of {total}: {}", said.join(", ")));
        }
        let is_due = |every: usize| step == total || step.is_multiple_of(every.max(1));
        let output = &self.run.recipe().output;
        let (shows, saves) = (is_due(output.sample_every), is_due(output.save_every));
        if shows {
            let shown = self.losses.plot().and(self.save_samples());
            self.tolerate(shown);
        }
        if saves { self.save() } else { Ok(()) }
    }

    /// Losses and samples are only for viewing: if they cannot be written, a warning is printed once and the run
    /// continues.
    fn tolerate(&mut self, written: anyhow::Result<()>) {
        if let Err(error) = written
            && !std::mem::replace(&mut self.warned, true)
        {
            print_line(format_args!("warning: {error:#}; the run continues"));
        }
    }

    fn save_samples(&self) -> anyhow::Result<()> {
        let path = self.folder.samples().join(format!("{:06}.png", self.run.steps()));
        std::fs::create_dir_all(self.folder.samples())?;
        Ok(GeneratedImage { image: self.run.samples()?, parameters: String::new() }.save(path)?)
    }

    fn save(&mut self) -> anyhow::Result<()> {
        if self.saved == self.run.steps() {
            return Ok(());
        }
        let synced = self.losses.sync();
        self.tolerate(synced);
        let saved = self.folder.save(self.run.steps(), |folder| self.run.save(folder));
        saved.map_err(|error| anyhow!("{error}\n{}", self.resume_advice()))?;
        self.saved = self.run.steps();
        Ok(())
    }

    /// Saves the steps before a failed one, unless their weights may be damaged as well.
    fn give_up(&mut self, error: &TrainError) -> anyhow::Error {
        if !matches!(error, TrainError::NotFinite { .. })
            && let Err(unsaved) = self.save()
        {
            return anyhow!("{error}\n{unsaved:#}");
        }
        anyhow!("{error}\n{}", self.resume_advice())
    }

    /// The command that resumes from the latest checkpoint, ready to be pasted into a shell.
    fn resume_advice(&self) -> String {
        if !self.folder.latest().is_ok_and(|checkpoint| checkpoint.is_some()) {
            return "no checkpoint was written yet".to_owned();
        }
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let words: Vec<String> = words.filter(|word| word != "--resume").chain(["--resume".to_owned()]).collect();
        let quoted = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "));
        format!("go on with: {quoted}")
    }
}
