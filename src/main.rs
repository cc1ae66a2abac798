//! The `synod` command.
#[path = "../models/mod.rs"]
mod models;
use synod::checker::{World, search};
fn main() {
    let a: Vec<u64> = std::env::args()
        .skip(1)
        .map(|x| x.parse().unwrap())
        .collect();
    let g = |i: usize, d: u64| a.get(i).copied().unwrap_or(d);
    let c = models::basic::Config {
        acceptors: g(0, 3) as u32,
        proposers: g(1, 2) as u32,
        ballots: g(2, 2),
        clients: g(3, 2) as u32,
        crashes: g(4, 0) as usize,
        layout: if g(5, 0) == 0 {
            models::basic::Layout::Separated
        } else {
            models::basic::Layout::Colocated
        },
        storage: if g(6, 0) == 0 {
            synod::checker::StorageMode::Atomic
        } else {
            synod::checker::StorageMode::Split
        },
        symmetry: g(7, 1) == 1,
        drops_stale: g(8, 1) == 1,
        nacks: g(10, 0) == 1,
        replies: g(11, 0) == 1,
        ..Default::default()
    };
    let limits = search::Limits {
        threads: g(9, 1) as usize,
        states_max: Some(4_000_000),
        timeout: Some(std::time::Duration::from_secs(100)),
    };
    let r = search::run(
        || World::new(c.system().unwrap(), c.options()),
        limits,
        |_| {},
    );
    println!("{c:?}\n{r:#?}");
}
