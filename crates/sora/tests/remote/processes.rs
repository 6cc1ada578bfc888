//! Two processes: the documented example, run as it is.

use std::process::Command;

use sora_testbed::Redis;

#[test]
fn a_write_in_one_process_is_seen_by_the_other() {
    let redis = Redis::shared().expect("a server");
    // Beside the directory of the tests; cargo builds it with them.
    let tests = std::env::current_exe().expect("this program");
    let built = tests.parent().and_then(|deps| deps.parent()).expect("a directory");
    let example = built.join("examples").join("shared_cache");
    let run = Command::new(example).arg(redis.url()).output().expect("the example was built");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    for line in ["Ada has 5, from Store", "Ada has 5, from Memory", "Ada has 5, from Remote"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("Ada has 12, from "), "{said}");
    let processes: std::collections::HashSet<_> =
        said.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(processes.len(), 2, "{said}");
}
