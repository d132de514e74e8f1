//! One entry of `syscalls` without its names: what to do, and under which conditions.
//!
//! Here an entry's action and arguments are checked; after that a rule is in order by its type.
//! Source: runtime-spec, config-linux.md, section "Seccomp"; seccomp_rule_add(3).

use libseccomp::{ScmpAction, ScmpArgCompare};
use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use crate::problem::Problem;
use crate::vocabulary::{scmp_action, scmp_compare};

/// A system call has six arguments (syscall(2)).
const ARGUMENTS: u32 = 6;

/// What an entry does with each of its names.
pub(crate) struct Rule {
    pub(crate) action: ScmpAction,
    /// The action is taken when all comparisons of one of these hold. There is at least one.
    pub(crate) alternatives: Vec<Vec<ScmpArgCompare>>,
}

impl Rule {
    /// Reads an entry, or adds its problems to the list. `pointer` is the entry's.
    pub(crate) fn of(entry: &LinuxSyscall, pointer: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let action = scmp_action(entry.action(), entry.errno_ret());
        let mut comparisons = Vec::new();
        if let Err(message) = &action {
            problems.push(Problem::new(format!("{pointer}/errnoRet"), message));
        }
        for (at, argument) in entry.args().iter().flatten().enumerate() {
            let pointer = format!("{pointer}/args/{at}");
            check_second_value(argument, &pointer, problems);
            match u32::try_from(argument.index()) {
                Ok(index) if index < ARGUMENTS => comparisons.push((index, scmp_compare(index, argument))),
                _ => problems.push(Problem::new(
                    format!("{pointer}/index"),
                    format!(
                        "argument {} does not exist: a system call has arguments 0 to {}",
                        argument.index(),
                        ARGUMENTS - 1
                    ),
                )),
            }
        }
        match action {
            Ok(action) if problems.len() == before => {
                Some(Self { action, alternatives: alternatives(comparisons) })
            }
            _ => None,
        }
    }

    /// The action, if it does not depend on arguments.
    pub(crate) fn always(&self) -> Option<ScmpAction> {
        self.alternatives.iter().any(Vec::is_empty).then_some(self.action)
    }
}

fn check_second_value(argument: &LinuxSeccompArg, pointer: &str, problems: &mut Vec<Problem>) {
    // Engines write "valueTwo": 0 everywhere, so zero says nothing.
    let (op, mask, second) = (argument.op(), argument.value(), argument.value_two().unwrap_or_default());
    let message = if op != LinuxSeccompOperator::ScmpCmpMaskedEq {
        (second != 0).then(|| format!("{op} has no second value"))
    } else {
        // libseccomp drops those bits without a word, and then the condition holds where it should not.
        (second & !mask != 0)
            .then(|| format!("{second:#x} has bits outside of the mask {mask:#x}, so it never matches"))
    };
    problems.extend(message.map(|message| Problem::new(format!("{pointer}/valueTwo"), message)));
}

/// The rules that an entry stands for: one with all its conditions, or, when two conditions are about the
/// same argument, one for each condition. (libseccomp compares an argument once a rule; runc and crun do the
/// same.)
fn alternatives(comparisons: Vec<(u32, ScmpArgCompare)>) -> Vec<Vec<ScmpArgCompare>> {
    let mut seen = [false; ARGUMENTS as usize];
    let repeated = comparisons.iter().any(|(index, _)| std::mem::replace(&mut seen[*index as usize], true));
    let comparisons = comparisons.into_iter().map(|(_, comparison)| comparison);
    if repeated {
        comparisons.map(|comparison| vec![comparison]).collect()
    } else {
        vec![comparisons.collect()]
    }
}
