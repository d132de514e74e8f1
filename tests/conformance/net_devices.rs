//! Network devices that move into the container, in a network namespace that stands for the host's.

use std::process::{Child, Command, Stdio};

use husk_conformance::suite::Case;
use husk_conformance::{Container, Finished, Invocation, Lab, Outcome, Stop, case, eventually, unable};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(device_moves_in_and_goes_up, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(device_gets_another_name, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(addresses_come_along, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(attributes_come_along, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(device_moves_into_a_joined_namespace, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(name_from_a_template, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(kernel_parameters_find_the_device, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(device_is_missing, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(name_is_taken, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
        case!(devices_come_back_when_the_creation_fails, lacks "runc 1.1": "ignores linux.netDevices", "runc 1.3": "ignores linux.netDevices"),
    ]
}

/// A network namespace with a pair of devices, `va` and `vb`.
struct Network(Child);

impl Network {
    fn new() -> Result<Network, Stop> {
        let mut sleeper = Command::new("unshare");
        let network = Network(sleeper.args(["--net", "sleep", "1000"]).stdin(Stdio::null()).spawn()?);
        let own = std::fs::read_link("/proc/self/ns/net")?;
        eventually("a network namespace", || {
            Ok(std::fs::read_link(network.path()).is_ok_and(|other| other != own))
        })?;
        let made = network.ip("link add va type veth peer name vb")?;
        if !made.0 { unable(format!("this kernel makes no veth devices: {}", made.1)) } else { Ok(network) }
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn inside(&self, program: &str, args: &[&str]) -> Result<std::process::Output, Stop> {
        let mut command = Command::new("nsenter");
        Ok(command.arg(format!("--net={}", self.path())).arg(program).args(args).output()?)
    }

    /// `ip ARGS`: whether it succeeded, and what it said.
    fn ip(&self, args: &str) -> Result<(bool, String), Stop> {
        let output = self.inside("ip", &args.split(' ').collect::<Vec<_>>())?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    fn set(&self, args: &[&str]) -> Outcome {
        for args in args {
            let (ok, said) = self.ip(args)?;
            assert!(ok, "ip {args}: {said}");
        }
        Ok(())
    }

    /// The invocation, with this as the runtime's own network.
    fn hosts(&self, invocation: Invocation) -> Result<Invocation, Stop> {
        invocation.wrapped("nsenter", &[&format!("--net={}", self.path())])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn with<'lab>(lab: &'lab Lab, devices: Value) -> Result<(Container<'lab>, Network), Stop> {
    let mut container = lab.container()?;
    container.config.put("/linux/netDevices", devices);
    Ok((container, Network::new()?))
}

fn run_sh(container: &mut Container<'_>, network: &Network, script: &str) -> Result<Finished, Stop> {
    container.config.sh(script);
    network.hosts(container.run_with(&[])?)?.output()
}

fn device_moves_in_and_goes_up(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {}}))?;
    let shown = run_sh(&mut container, &network, "ip link show va; ls /sys/class/net")?.ok().stdout;
    assert!(shown.contains("va@") && shown.contains(",UP"), "{shown}");
    assert!(shown.ends_with("lo\nva\n"), "its sysfs shows it: {shown}");
    container.nothing_left()
}

fn device_gets_another_name(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {"name": "eth7"}, "vb": {"name": "eth8"}}))?;
    // Each takes the name that the other had.
    let shown = run_sh(&mut container, &network, "ls /sys/class/net")?.ok().stdout;
    assert_eq!(shown, "eth7\neth8\nlo\n");
    assert!(!network.ip("link show va")?.0, "it is no longer here");
    container.nothing_left()
}

fn addresses_come_along(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {"name": "eth0"}}))?;
    network.set(&[
        "addr add 192.0.2.5/26 broadcast 192.0.2.63 dev va",
        "addr add 192.0.2.9/26 dev va",
        "addr add 198.51.100.1 peer 198.51.100.2/32 dev va",
        "addr add 2001:db8::5/64 nodad dev va",
        "addr add 192.0.2.77/32 scope link dev va",
        "addr add 203.0.113.1/24 valid_lft 1000 preferred_lft 1000 dev va",
        "link set va up",
    ])?;
    container.config.sh("ip addr show eth0; exec sleep 1000");
    network.hosts(container.run_with(&["--detach"])?)?.output()?.ok();
    let seen = container.exec(&[], &["/bin/ip", "addr", "show", "eth0"])?.ok().stdout;
    for address in [
        "inet 192.0.2.5/26 brd 192.0.2.63 scope global",
        "inet 192.0.2.9/26 scope global",
        "inet 198.51.100.1 peer 198.51.100.2/32 scope global",
        "inet6 2001:db8::5/64 scope global",
    ] {
        assert!(seen.contains(address), "{address} is missing: {seen}");
    }
    assert!(!seen.contains("192.0.2.77"), "of this link only: {seen}");
    assert!(!seen.contains("203.0.113.1"), "for some time only: {seen}");
    Ok(())
}

fn attributes_come_along(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {"name": "eth0"}}))?;
    network.set(&["link set va mtu 1789", "link set va address 02:00:5e:00:53:07"])?;
    let shown = run_sh(&mut container, &network, "ip link show eth0")?.ok().stdout;
    assert!(shown.contains("mtu 1789") && shown.contains("02:00:5e:00:53:07"), "{shown}");
    Ok(())
}

fn device_moves_into_a_joined_namespace(lab: &Lab) -> Outcome {
    for kind in ["pid", "ipc"] {
        let (mut container, network) = with(lab, json!({"va": {"name": "eth0"}}))?;
        let other = Network::new()?;
        network.set(&["addr add 192.0.2.5/26 dev va"])?;
        container.config.join("network", &other.path());
        // A pid namespace of others takes a second process.
        container.config.join(kind, &format!("/proc/self/ns/{kind}"));
        run_sh(&mut container, &network, "true")?.ok();
        let (ok, shown) = other.ip("addr show eth0")?;
        assert!(ok && shown.contains("192.0.2.5/26") && shown.contains(",UP"), "{shown}");
    }
    Ok(())
}

fn name_from_a_template(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {"name": "eth%d"}, "vb": {"name": "eth%d"}}))?;
    let shown = run_sh(&mut container, &network, "ls /sys/class/net")?.ok().stdout;
    assert_eq!(shown, "eth0\neth1\nlo\n");
    Ok(())
}

fn kernel_parameters_find_the_device(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {"name": "eth0"}}))?;
    container.config.put("/linux/sysctl", json!({"net.ipv4.conf.eth0.forwarding": "1"}));
    let file = "cat /proc/sys/net/ipv4/conf/eth0/forwarding";
    run_sh(&mut container, &network, file)?.ok().prints("1");
    Ok(())
}

fn device_is_missing(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {}, "vx": {}}))?;
    let words = ["link not found for interface vx", "/linux/netDevices/vx", "no such device"];
    run_sh(&mut container, &network, "true")?.exits(1).says(&words);
    assert!(network.ip("link show va")?.0, "the first has come back");
    container.nothing_left()
}

fn name_is_taken(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {"name": "lo"}}))?;
    let words = ["network device va", " lo in the container", "/linux/netDevices/va", "file exists"];
    run_sh(&mut container, &network, "true")?.exits(1).says(&words);
    assert!(network.ip("link show va")?.0, "it has stayed");
    container.nothing_left()
}

/// With a namespace that ends, a veth device would end.
fn devices_come_back_when_the_creation_fails(lab: &Lab) -> Outcome {
    let (mut container, network) = with(lab, json!({"va": {"name": "eth0"}, "vb": {"name": "va"}}))?;
    network.set(&[
        "addr add 192.0.2.5/26 dev va",
        "link set va up",
        "addr add 2001:db8::5/64 nodad dev vb",
    ])?;
    run_sh(&mut container, &network, "ls /sys/class/net")?.ok().prints("eth0\nlo\nva");
    let network = Network::new()?;
    network.set(&[
        "addr add 192.0.2.5/26 dev va",
        "link set va up",
        "addr add 2001:db8::5/64 nodad dev vb",
    ])?;
    container.config.args(&["/no/such/program"]);
    network.hosts(container.run_with(&[])?)?.output()?.exits(1).says(&["/no/such/program"]);
    let (ok, shown) = network.ip("addr show va")?;
    assert!(ok && shown.contains("192.0.2.5/26") && shown.contains(",UP"), "{shown}");
    let (ok, shown) = network.ip("addr show vb")?;
    assert!(ok && shown.contains("2001:db8::5/64") && !shown.contains(",UP"), "{shown}");
    container.nothing_left()
}
