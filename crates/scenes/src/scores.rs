use crate::Verdict;

/// How often each property of the judged images was right.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    background: Share,
    object: Share,
    object_by_clip: Share,
    count: Share,
}

impl Scores {
    /// Counts the verdict on one image.
    pub fn add(&mut self, verdict: Verdict) {
        self.background.add(verdict.background);
        self.count.add(verdict.count);
        if let Some(right) = verdict.object {
            self.object.add(right);
        }
    }

    /// Counts whether CLIP recognised the object of an image.
    pub fn add_clip(&mut self, right: bool) {
        self.object_by_clip.add(right);
    }

    /// The number of judged images.
    pub fn images(&self) -> usize {
        self.background.of
    }

    /// The shares with their names, without those of which nothing was judged.
    pub fn shares(&self) -> impl Iterator<Item = (&'static str, Share)> {
        let all = [
            ("background", self.background),
            ("object, by the nearest drawing", self.object),
            ("object, by CLIP", self.object_by_clip),
            ("number of objects", self.count),
        ];
        all.into_iter().filter(|(_, share)| share.of > 0)
    }
}

/// A number of images, and how many of them were right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The right ones.
    pub right: usize,
    /// All.
    pub of: usize,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.of += 1;
    }

    /// The share in percent; NaN of no images.
    pub fn percent(self) -> f64 {
        100.0 * self.right as f64 / self.of as f64
    }
}
