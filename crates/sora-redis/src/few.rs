//! One thing, or several.

use std::slice;
use std::vec;

/// One thing, or several of it: most calls are of one name, which needs no list.
#[derive(Debug)]
pub(crate) enum Few<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(many: Vec<T>) -> Self {
        Self::Many(many)
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        match self {
            Self::One(one) => IntoIter { one: Some(one), many: Vec::new().into_iter() },
            Self::Many(many) => IntoIter { one: None, many: many.into_iter() },
        }
    }
}

/// Hands out each.
#[derive(Debug)]
pub(crate) struct IntoIter<T> {
    one: Option<T>,
    many: vec::IntoIter<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.one.take().or_else(|| self.many.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = usize::from(self.one.is_some()) + self.many.len();
        (count, Some(count))
    }
}
