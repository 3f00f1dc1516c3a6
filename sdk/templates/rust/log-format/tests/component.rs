//! The built component under a gateway's limits: `./build && cargo test -- --ignored`.

use hawser_sdk::testing::component::Component;

#[test]
#[ignore = "needs ./build, and the program hawser in PATH or in HAWSER"]
fn the_gateway_takes_it() {
    let report = Component::at("{{name}}.wasm").check();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    assert!(report.memory < 1 << 20, "{} octets", report.memory);
}
