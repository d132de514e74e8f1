//! On which NUMA nodes the kernel looks for memory (runtime-spec config-linux.md, "Memory policy"; set_mempolicy(2)).

use super::execution::numbers;
use super::problems::{Pointer, Problems};
use crate::spec::{LinuxMemoryPolicy, MemoryPolicyFlagType, MemoryPolicyModeType};
use std::fmt;

/// A policy for set_mempolicy(2), which children and executed programs inherit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicyPlan {
    /// `MPOL_*`, with the `MPOL_F_*` flags in its upper bits.
    pub mode: u32,
    /// Node N is bit N % 64 of word N / 64; empty for no nodes.
    pub nodes: Vec<u64>,
}

/// More nodes than any kernel is built for (`MAX_NUMNODES`, 1024 at most).
const NODES: usize = 1024;

/// Each mode, its name, its number and the nodes that it takes (set_mempolicy(2), linux/mempolicy.h).
const MODES: [(MemoryPolicyModeType, &str, u32, Nodes); 7] = [
    (MemoryPolicyModeType::MpolDefault, "MPOL_DEFAULT", 0, Nodes::None),
    (MemoryPolicyModeType::MpolPreferred, "MPOL_PREFERRED", 1, Nodes::Any),
    (MemoryPolicyModeType::MpolBind, "MPOL_BIND", 2, Nodes::Some),
    (MemoryPolicyModeType::MpolInterleave, "MPOL_INTERLEAVE", 3, Nodes::Some),
    (MemoryPolicyModeType::MpolLocal, "MPOL_LOCAL", 4, Nodes::None),
    (MemoryPolicyModeType::MpolPreferredMany, "MPOL_PREFERRED_MANY", 5, Nodes::Some),
    (MemoryPolicyModeType::MpolWeightedInterleave, "MPOL_WEIGHTED_INTERLEAVE", 6, Nodes::Some),
];

/// How many nodes a mode wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nodes {
    None,
    Any,
    Some,
}

/// Each flag, its name and its bit.
const FLAGS: [(MemoryPolicyFlagType, &str, u32); 3] = [
    (MemoryPolicyFlagType::MpolFNumaBalancing, "MPOL_F_NUMA_BALANCING", 1 << 13),
    (MemoryPolicyFlagType::MpolFRelativeNodes, "MPOL_F_RELATIVE_NODES", 1 << 14),
    (MemoryPolicyFlagType::MpolFStaticNodes, "MPOL_F_STATIC_NODES", 1 << 15),
];

/// `/linux/memoryPolicy`.
pub(super) fn plan(
    policy: Option<&LinuxMemoryPolicy>,
    at: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<MemoryPolicyPlan> {
    let policy = policy?;
    let (_, name, number, wanted) = MODES.iter().find(|row| row.0 == policy.mode())?;
    let list = policy.nodes().as_deref().filter(|list| !list.is_empty());
    let nodes = match list.map(|list| numbers(list, NODES, "node")) {
        None => Vec::new(),
        Some(Ok(words)) => words,
        Some(Err(message)) => {
            problems.add(&at.key("nodes"), format!("invalid memory policy node: {message}"));
            return None;
        }
    };
    let count: u32 = nodes.iter().map(|word| word.count_ones()).sum();
    match (wanted, count) {
        (Nodes::None, 1..) => {
            problems.add(&at.key("nodes"), format!("{name} mode requires 0 nodes but got {count}"));
        }
        (Nodes::Some, 0) => {
            problems.add(&at.key("nodes"), format!("{name} mode requires at least one node but got 0"));
        }
        _ => {}
    }
    let flags = policy.flags().as_deref().unwrap_or_default();
    let bits = flags.iter().filter_map(|flag| FLAGS.iter().find(|row| row.0 == *flag)).map(|row| row.2);
    let bits = bits.fold(0, |all, bit| all | bit);
    if bits & (1 << 14) != 0 && bits & (1 << 15) != 0 {
        let message = "MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other";
        problems.add(&at.key("flags"), message);
    }
    Some(MemoryPolicyPlan { mode: number | bits, nodes })
}

/// The names of all modes and of all flags, sorted, for `features`.
pub(crate) fn known() -> (Vec<&'static str>, Vec<&'static str>) {
    let mut modes: Vec<_> = MODES.iter().map(|row| row.1).collect();
    let mut flags: Vec<_> = FLAGS.iter().map(|row| row.1).collect();
    modes.sort_unstable();
    flags.sort_unstable();
    (modes, flags)
}

impl fmt::Display for MemoryPolicyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = self.mode & 0xff;
        f.write_str(MODES.iter().find(|row| row.2 == mode).map_or("an unknown mode", |row| row.1))?;
        for (_, name, _) in FLAGS.iter().filter(|row| self.mode & row.2 != 0) {
            write!(f, " {name}")?;
        }
        let is_set =
            |node: &usize| self.nodes.get(node / 64).is_some_and(|word| word & 1 << (node % 64) != 0);
        let nodes: Vec<String> =
            (0..self.nodes.len() * 64).filter(is_set).map(|node| node.to_string()).collect();
        if nodes.is_empty() { Ok(()) } else { write!(f, " on {}", nodes.join(",")) }
    }
}
