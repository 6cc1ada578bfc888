//! Each fault under load: all requests succeed, and afterwards every row is the store's.

use std::time::Duration;

use sora_testbed::{Direction, RedisOptions, RedisSnapshot};

use super::scene::{Scene, state};
use super::traffic::Traffic;
use super::until;

/// Requests that a fault lasts for, and those before and behind it.
const REQUESTS: u64 = 400;

/// Does harm while both nodes read and write, and undoes it.
async fn survive(case: &str, harm: impl FnOnce(&Scene, &RedisSnapshot), undo: impl FnOnce(&Scene)) {
    let scene = Scene::with(&RedisOptions::new().persisted(), |remote| remote).await;
    let traffic = Traffic::new(&scene.nodes());
    traffic.pass(REQUESTS).await;
    let old = scene.redis.snapshot().expect("a snapshot");
    traffic.name_rows();
    traffic.pass(REQUESTS).await;
    let before = scene.nodes().map(|node| (state(node).failed, state(node).gaps));
    harm(&scene, &old);
    let is_felt = || {
        let now = scene.nodes().map(|node| (state(node).failed, state(node).gaps));
        now.iter().zip(&before).all(|(now, before)| now.0 > before.0 && now.1 > before.1)
    };
    until(is_felt).await;
    traffic.pass(REQUESTS).await;
    traffic.leave_rows();
    undo(&scene);
    until(|| scene.nodes().iter().all(|node| state(node).is_up)).await;
    traffic.pass(REQUESTS).await;
    traffic.end().await.unwrap_or_else(|error| panic!("{case}: a request failed: {error}"));
    scene.compare(case).await;
    let fills = scene.nodes().map(|node| node.numbers().remote_fills);
    assert!(fills.iter().all(|fills| *fills > 0), "{case}: it was used: {fills:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed() {
    let kill = |scene: &Scene, _: &_| scene.redis.kill().expect("killed");
    survive("killed", kill, |scene| scene.redis.restart().expect("restarts")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_paused() {
    let pause = |scene: &Scene, _: &_| scene.redis.pause().expect("paused");
    survive("paused", pause, |scene| scene.redis.resume().expect("resumed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_answers_two_seconds_late() {
    let slow = |scene: &Scene, _: &_| {
        for proxy in [&scene.proxy, &scene.other_proxy] {
            proxy.faults().delay(Direction::ToClient, Duration::from_secs(2));
        }
    };
    let clear = |scene: &Scene| {
        for proxy in [&scene.proxy, &scene.other_proxy] {
            proxy.faults().clear();
        }
    };
    survive("slow", slow, clear).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_restarted_empty() {
    let restart = |scene: &Scene, _: &_| scene.redis.restart_empty().expect("restarts");
    survive("restarted empty", restart, |_| ()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_restarted_with_old_data() {
    let restart = |scene: &Scene, old: &_| scene.redis.restart_with(old).expect("restarts");
    survive("restarted with old data", restart, |_| ()).await;
}
