//! The texts of statements by their shapes, so that each is rendered once.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Remembers the text of the statements that were used last.
#[derive(Debug)]
pub(crate) struct Statements {
    texts: HashMap<Box<[u8]>, Entry, RandomState>,
    shape: Vec<u8>,
    uses: u64,
    texts_max: usize,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    used: u64,
}

impl Statements {
    pub(crate) fn new(texts_max: usize) -> Self {
        Self { texts: HashMap::default(), shape: Vec::new(), uses: 0, texts_max }
    }

    /// Returns the text of a shape, rendered if it is new.
    pub(crate) fn text(
        &mut self,
        shape: impl FnOnce(&mut Vec<u8>),
        render: impl Fn() -> String,
    ) -> Arc<str> {
        self.shape.clear();
        shape(&mut self.shape);
        self.uses += 1;
        if let Some(entry) = self.texts.get_mut(&*self.shape) {
            entry.used = self.uses;
            debug_assert_eq!(*entry.text, *render(), "one shape, two texts");
            return entry.text.clone();
        }
        if self.texts.len() >= self.texts_max {
            self.forget_oldest();
        }
        let text: Arc<str> = render().into();
        let entry = Entry { text: text.clone(), used: self.uses };
        self.texts.insert(self.shape.as_slice().into(), entry);
        text
    }

    /// Looks at all of them, which is cheap beside the preparation of the one that takes its place.
    fn forget_oldest(&mut self) {
        let oldest = self.texts.iter().min_by_key(|(_, entry)| entry.used);
        if let Some(shape) = oldest.map(|(shape, _)| shape.clone()) {
            self.texts.remove(&shape);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_rendered_once_and_the_oldest_is_forgotten() {
        use std::cell::Cell;
        let rendered = Cell::new(0);
        let mut statements = Statements::new(2);
        let mut ask = |shape: u8| {
            let render = || {
                rendered.set(rendered.get() + 1);
                format!("text {shape}")
            };
            assert_eq!(
                &*statements.text(|bytes| bytes.push(shape), render),
                format!("text {shape}")
            );
        };
        ask(1);
        ask(2);
        let before = rendered.get();
        ask(1);
        // A debug build renders again to compare; it is not kept anew.
        assert!(rendered.get() <= before + 1);
        ask(3);
        ask(1);
        assert_eq!(statements.texts.len(), 2);
        assert!(statements.texts.contains_key(&[1u8][..]));
    }
}
