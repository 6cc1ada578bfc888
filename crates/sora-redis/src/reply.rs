//! What a server replied to one command.

use bytes::Bytes;
use redis::Value;

use crate::wire::Part;

/// A reply, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Reply(Bytes);

/// The strings of a reply that is one, or an array of them. They share the memory of the reply.
#[derive(Debug)]
pub(crate) struct Texts(Bytes);

impl Reply {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Decodes it; none if it is nothing that a server says, such as text that is not UTF-8.
    pub(crate) fn into_value(self) -> Option<Value> {
        redis::parse_redis_value(&self.0).ok()
    }

    /// Its strings: those of so many names that were looked up, null where there is none; nothing if
    /// the reply is another one.
    pub(crate) fn texts(&self, names: usize) -> Option<Texts> {
        let head = Part::read(&self.0).ok()??;
        match head.kind {
            b'$' | b'_' if names == 1 => Some(Texts(self.0.clone())),
            b'*' if head.elements == names as u64 => Some(Texts(self.0.slice(head.len..))),
            _ => None,
        }
    }
}

/// Each is a string, or null. What else there is, such as an error, is null: there is no value.
impl Iterator for Texts {
    type Item = Option<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = Part::read(&self.0).ok()??;
        let bytes = self.0.split_to(part.len);
        let text = part.text.filter(|_| part.kind == b'$');
        Some(text.map(|start| bytes.slice(start..bytes.len() - 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_taken_out_of_a_reply_to_as_many_names() {
        let texts = |reply: &'static str, names| -> Option<Vec<Option<Bytes>>> {
            Some(Reply::new(reply.into()).texts(names)?.collect())
        };
        let text = |text: &'static str| Some(Bytes::from(text));
        assert_eq!(texts("$2\r\n\r\n\r\n", 1), Some(vec![text("\r\n")]));
        assert_eq!(texts("$-1\r\n", 1), Some(vec![None]));
        assert_eq!(texts("_\r\n", 1), Some(vec![None]));
        assert_eq!(texts("*1\r\n$0\r\n\r\n", 1), Some(vec![text("")]));
        let three = "*3\r\n$1\r\na\r\n_\r\n$2\r\nbc\r\n";
        assert_eq!(texts(three, 3), Some(vec![text("a"), None, text("bc")]));
        assert_eq!(texts("*2\r\n$-1\r\n$1\r\na\r\n", 2), Some(vec![None, text("a")]));
        for (other, names) in
            [("-ERR no\r\n", 1), ("-ERR no\r\n", 3), ("$1\r\na\r\n", 2), (three, 2)]
        {
            assert_eq!(texts(other, names), None, "{other}");
        }
    }
}
