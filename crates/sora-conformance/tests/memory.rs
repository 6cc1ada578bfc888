//! The in-memory provider against the contract.

use sora_core::memory::Memory;

#[tokio::test]
async fn memory_conforms() {
    let report = sora_conformance::suite(|| async { Memory::new() }).await;
    report.expect_green();
    // Everything is declared, so everything but inexact filters is judged.
    assert_eq!(report.skipped(), ["inexact filters leave out no row that belongs"]);
}
