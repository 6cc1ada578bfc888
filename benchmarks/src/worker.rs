//! A program of the benchmark: reads a task from each line, and answers with a line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufRead, Write};
use std::pin::Pin;

use rustix::thread::CpuSet;
use tokio_postgres::NoTls;

use crate::account::all_cpus;
use crate::postgres_pool::PostgresPool;
use crate::sora_peer::SoraPeer;
use crate::{
    Account, Answer, Durability, Form, Measurement, Opened, Peer, Result, StoreKind, Task,
    Workload, opened, rusqlite_loop,
};

/// A peer that is being connected; none if the program does not have it.
pub type Opening<'a> = Option<Pin<Box<dyn Future<Output = Opened> + 'a>>>;

/// Who is open already. Statements and pools stay warm between the runs of a program.
pub struct Peers {
    open: HashMap<(String, Form, String, Durability), Box<dyn Peer>>,
    cpus: CpuSet,
}

/// Answers tasks until the input ends, with Sora, the floor, and the peers that `open` knows.
///
/// # Errors
///
/// If input or output break, or a line is no task.
pub fn serve(open: impl Fn(&Task) -> Opening<'_>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut peers = Peers::new()?;
    answer(&Answer::Ready(rusqlite::version().into()))?;
    for line in std::io::stdin().lock().lines() {
        let task: Task = serde_json::from_str(&line?)?;
        answer(&match runtime.block_on(peers.run(&task, &open)) {
            Ok(measurement) => Answer::Done(measurement),
            Err(error) => Answer::Failed(error.to_string()),
        })?;
    }
    Ok(())
}

impl Peers {
    /// Returns a program that has opened nobody.
    ///
    /// # Errors
    ///
    /// If the system does not say on which CPUs it may run.
    pub fn new() -> Result<Self> {
        Ok(Self { open: HashMap::new(), cpus: all_cpus()? })
    }

    /// Has a peer do a task; it is opened if it is not.
    ///
    /// # Errors
    ///
    /// What the peer says, or that neither `open` nor every program knows it.
    pub async fn run(
        &mut self,
        task: &Task,
        open: &impl Fn(&Task) -> Opening<'_>,
    ) -> Result<Measurement> {
        let account = match task.store {
            StoreKind::Postgres => server_of(&task.place).await?,
            StoreKind::Sqlite => Account::default(),
        };
        let name = (task.peer.clone(), task.form, task.place.clone(), task.durability);
        let peer = match self.open.entry(name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(connect(task, open).await?),
        };
        if task.store == StoreKind::Postgres {
            let is_timed = !matches!(task.workload, Workload::Bulk(..) | Workload::Scan);
            account.keep_to(&self.cpus, is_timed && task.tasks == 1)?;
        }
        peer.run(task, &account).await
    }
}

async fn connect(task: &Task, open: &impl Fn(&Task) -> Opening<'_>) -> Opened {
    match (&*task.peer, task.store) {
        ("rusqlite", StoreKind::Sqlite) => rusqlite_loop::open(task),
        ("sora", _) => opened(SoraPeer::open(task).await),
        ("tokio-postgres", StoreKind::Postgres) => opened(PostgresPool::open(task)),
        (peer, store) => match open(task) {
            Some(opening) => opening.await,
            None => Err(format!("this program has no {peer} for {store}").into()),
        },
    }
}

/// Finds the server by the process that answers a connection.
async fn server_of(url: &str) -> Result<Account> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let process: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
    let account = Account::with_server(process.cast_unsigned());
    drop(client);
    connection.await??;
    Ok(account)
}

fn answer(answer: &Answer) -> Result<()> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, answer)?;
    writeln!(output)?;
    Ok(output.flush()?)
}
