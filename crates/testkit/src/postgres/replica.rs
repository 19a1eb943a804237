//! Servers that follow another.

use std::fs;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Postgres, START, query};
use crate::process;

impl Postgres {
    /// Starts a server that follows this one and can be read from.
    pub async fn replica(&self) -> Self {
        let folder = process::folder(self.account).keep();
        let replica = Self::new(self.programs.clone(), folder, self.account);
        let mut copy = process::command(&self.programs.join("pg_basebackup"), self.account);
        copy.args(["--host=127.0.0.1", "--username=postgres", "--checkpoint=fast", "--no-sync"]);
        copy.args(["--wal-method=stream", "--write-recovery-conf", "--port"]);
        copy.arg(self.port.to_string()).arg("-D").arg(replica.folder.join("data"));
        let made = copy.current_dir(&replica.folder).output().expect("pg_basebackup runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        replica.resume().await;
        replica
    }

    /// The URL of a database of this server, with those of `others` beside it.
    pub fn together(&self, others: &[&Self], url: &str) -> String {
        let name = url.rsplit('/').next().expect("it was made here");
        let servers = std::iter::once(self).chain(others.iter().copied());
        let places: Vec<_> = servers.map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("postgres://postgres@{}/{name}", places.join(","))
    }

    /// Has a replica take in nothing more, though it goes on to receive.
    pub async fn pause_replay(&self) {
        self.ask("SELECT pg_wal_replay_pause()").await;
        self.until("SELECT pg_get_wal_replay_pause_state() = 'paused'").await;
    }

    /// Undoes [`pause_replay`](Self::pause_replay).
    pub async fn resume_replay(&self) {
        self.ask("SELECT pg_wal_replay_resume()").await;
    }

    /// Waits until this replica has what `primary` has now.
    pub async fn catch_up(&self, primary: &Self) {
        let there = primary.ask("SELECT pg_current_wal_flush_lsn()").await;
        self.until(&format!("SELECT pg_last_wal_replay_lsn() >= '{there}'")).await;
    }

    /// Makes a primary of this replica, which takes writes at the return.
    pub async fn promote(&self) {
        self.ask("SELECT pg_promote()").await;
    }

    /// Starts this server, which was killed, as a replica of `primary`. What it has that
    /// the other never heard of keeps it from following, and it can be read from.
    pub async fn resume_behind(&self, primary: &Self) {
        let data = self.folder.join("data");
        let settings = format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n\
             recovery_target_timeline = 'latest'\n",
            primary.port
        );
        let file = data.join("postgresql.auto.conf");
        let known = fs::read_to_string(&file).expect("initdb made it");
        fs::write(&file, known + &settings).expect("its folder is writable");
        fs::write(data.join("standby.signal"), "").expect("its folder is writable");
        self.resume().await;
    }

    /// The answer to a question of one row and column, beside everybody.
    async fn ask(&self, question: &str) -> String {
        let rows = query(&self.url("postgres"), question).await.expect("it can be asked");
        rows.into_iter().flatten().flatten().next().unwrap_or_default()
    }

    async fn until(&self, question: &str) {
        let agrees = async {
            while self.ask(question).await != "t" {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(START, agrees).await.expect("it comes true in time");
    }
}
