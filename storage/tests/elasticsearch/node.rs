//! A node of the test's own, which is frozen, killed and emptied.

use crate::site::{Site, batch, log};
use andon_storage::conformance::cursor;
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use andon_storage::ports::StoreError;
use andon_storage::ports::log_index::{LogFilter, LogIndex};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

struct Node {
    script: PathBuf,
    dir: tempfile::TempDir,
}

impl Node {
    fn run(&self, command: &str) -> String {
        let output = Command::new(&self.script)
            .arg(command)
            .arg(self.dir.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Whatever the test found, its node ends with it.
        let ended = Command::new(&self.script).arg("kill").arg(self.dir.path()).status();
        assert!(ended.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_node_that_is_frozen_killed_or_emptied_loses_nothing_that_was_committed() {
    let node = Node {
        script: Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/test/elasticsearch.sh"),
        dir: tempfile::tempdir().unwrap(),
    };
    let site = Site::new(node.run("start"));
    let options = ElasticsearchOptions {
        request_timeout: Duration::from_secs(3),
        ..site.options()
    };
    // The first requests of a fresh node take their time.
    let warm = site.open().await;
    warm.add(&[batch(1, &[log("one"), log("two")])]).await.unwrap();
    warm.commit(cursor(1, 1)).await.unwrap();
    assert_eq!(warm.count(&LogFilter::default()).await.unwrap(), 2);
    drop(warm);

    let index = ElasticsearchIndex::open(&site.url, options).await.unwrap();
    let second = [batch(2, &[log("three")])];
    index.add(&second).await.unwrap();
    node.run("freeze");
    let unavailable = |e: StoreError| assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
    unavailable(index.count(&LogFilter::default()).await.unwrap_err());
    unavailable(index.add(&[batch(3, &[log("four")])]).await.unwrap_err());
    unavailable(index.commit(cursor(1, 2)).await.unwrap_err());
    unavailable(index.log_cursor().await.unwrap_err());
    node.run("thaw");
    // Patient from here on: what was frozen catches up first, and others work on this machine too.
    drop(index);
    let index = site.open().await;
    assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 1)));
    index.add(&second).await.unwrap();
    index.commit(cursor(1, 2)).await.unwrap();
    // What was sent while it was frozen it may have taken since, under the identity that it has.
    let found = index.count(&LogFilter::default()).await.unwrap();
    assert!((3..=4).contains(&found), "{found}");

    // What was added is on its disk, committed or not.
    index.add(&[batch(3, &[log("four")])]).await.unwrap();
    node.run("kill");
    unavailable(index.commit(cursor(1, 3)).await.unwrap_err());
    node.run("start");
    index.commit(cursor(1, 3)).await.unwrap();
    assert_eq!(index.count(&LogFilter::default()).await.unwrap(), 4);
    assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 3)));

    node.run("wipe");
    node.run("start");
    let lost = index.add(&[batch(4, &[log("five")])]).await;
    assert!(matches!(lost, Err(StoreError::Lost { .. })), "{lost:?}");
    assert_eq!(index.log_cursor().await.unwrap(), None);
    let all = [
        batch(1, &[log("one"), log("two")]),
        batch(2, &[log("three")]),
        batch(4, &[log("five")]),
    ];
    index.add(&all).await.unwrap();
    index.commit(cursor(1, 4)).await.unwrap();
    assert_eq!(index.count(&LogFilter::default()).await.unwrap(), 4);
}
