//! No two rows have one name in the tier.

use sora_core::AsKey;

use super::*;

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "notes")]
struct Numbered {
    #[sora(key)]
    id: i64,
    text: String,
}

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "notes")]
struct Lettered {
    #[sora(key)]
    id: String,
    text: String,
}

/// Another module's type of the same name could be like this.
#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "notes_a")]
struct Elsewhere {
    #[sora(key)]
    id: String,
    text: String,
}

#[derive(Clone, Debug, Entity, PartialEq)]
#[sora(table = "notes")]
struct Paired {
    #[sora(key)]
    left: String,
    #[sora(key)]
    right: String,
    text: String,
}

/// Looks a row up on a node of an application with a store of its own.
async fn check<E, K>(server: &Server, application: &str, row: E, key: K)
where
    E: Entity + sora_core::Insert<E> + PartialEq + std::fmt::Debug,
    K: AsKey<E::Key> + Send,
{
    let provider = Arc::new(sora_core::memory::Memory::new());
    // By no cache: it would take out what stands under the row's name.
    let store = Sora::builder().provider(provider.clone());
    store.ensure_schema::<E>().await.expect("a table");
    let rows = store.repository::<E>().await.expect("a repository");
    rows.insert(&row).await.expect("a row");
    let remote = RemoteCache::new(Arc::new(server.line()), application);
    let cache = Cache::new().all(POLICY).remote(remote);
    let store = Sora::builder().cache(cache).provider(provider);
    let rows = store.repository::<E>().await.expect("a repository");
    let before = server.rows().len();
    let found = rows.look_up(key).await.expect("a look-up");
    assert_eq!(found.source, Source::Store, "{application} {row:?}");
    assert_eq!(found.entity.as_deref(), Some(&row), "{application}");
    assert_eq!(server.rows().len(), before + 1, "{application} {row:?}: a name of its own");
}

#[tokio::test]
async fn no_two_rows_have_one_name() {
    let server = Server::default();
    let mut texts = (0..).map(|text: u32| text.to_string());
    let mut text = || texts.next().expect("no end");
    for application in ["a", "A", "a:notes", "a%3Anotes", "a_notes", "{a}", ""] {
        for id in [1, i64::from_le_bytes(*b"the same")] {
            check(&server, application, Numbered { id, text: text() }, id).await;
        }
        // The bytes of a number, the digits of another, and what parts and escapes.
        for id in ["the same", "1", "a:1", "a%3A1", "", "\u{1}", "Ä"] {
            let row = Lettered { id: id.into(), text: text() };
            check(&server, application, row, id).await;
            let row = Elsewhere { id: id.into(), text: text() };
            check(&server, application, row, id).await;
        }
        for (left, right) in [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", "")] {
            let row = Paired { left: left.into(), right: right.into(), text: text() };
            check(&server, application, row, (left, right)).await;
        }
    }
}
