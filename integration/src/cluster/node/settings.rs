//! The settings files of a node's programs.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::{
    ApiServer, PAUSE_IMAGE,
    kubeconfig::{self, Credential},
    node::{ip, name, pods, run_directory},
    pki::Usage,
};

/// Where the DNS server of the cluster is.
const DNS_IP: &str = "10.96.0.10";
/// The addresses of the pods of all nodes.
const ALL_PODS: &str = "10.244.0.0/16";
/// Where Debian puts the programs that connect pods.
const CNI_PROGRAMS: &str = "/usr/lib/cni";

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    write(path, &format!("{value:#}\n"))
}

/// containerd, and the network of its pods: a bridge, and ports of the host.
pub(super) fn write_containerd(number: u8, directory: &Path) -> Result<()> {
    let (run, own) = (run_directory(number), directory.display());
    let run = run.display();
    let text = format!(
        r#"version = 2
root = "{own}/containerd"
state = "{run}/containerd"
# None of these file systems is asked for, and asking what is there takes time.
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt",
]
[grpc]
  address = "{run}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # A container may lack the right to protect a process better than its parent is.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "{own}/cni"
"#
    );
    write(&directory.join("containerd.toml"), &text)?;
    let addresses = json!({
        "type": "host-local",
        "dataDir": format!("{run}/addresses"),
        "ranges": [[{"subnet": pods(number)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let bridge = json!({"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true, "ipam": addresses});
    let ports = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let network = json!({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]});
    write_json(&directory.join("cni/10-pods.conflist"), &network)
}

/// The kubelet.
pub(super) fn write_kubelet(number: u8, server: &ApiServer, directory: &Path) -> Result<()> {
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": server.directory().join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": ip(number),
        "tlsCertFile": directory.join("kubelet.crt"),
        "tlsPrivateKeyFile": directory.join("kubelet.key"),
        "containerRuntimeEndpoint": format!("unix://{}/containerd.sock", run_directory(number).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}/{}", server.keeper().name(), name(number)),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "volumePluginDir": directory.join("volume-plugins"),
        "podLogsDir": directory.join("podlogs"),
        // The disk is the machine's, which may be fuller than the kubelet likes.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "serializeImagePulls": false,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
    });
    write_json(&directory.join("kubelet.json"), &settings)
}

/// kube-proxy.
pub(super) fn write_proxy(number: u8, server: &ApiServer, directory: &Path) -> Result<()> {
    let certified = server.authority().issue("system:kube-proxy", None, Usage::Client, &[])?;
    let kubeconfig = directory.join("proxy.kubeconfig");
    let text = kubeconfig::text(&server.url(), &server.authority_pem(), &Credential::Certificate(certified));
    write(&kubeconfig, &text)?;
    let settings = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "hostnameOverride": name(number),
        "mode": "nftables",
        "clusterCIDR": ALL_PODS,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // The size of the kernel's table is the machine's, not a namespace's.
        "conntrack": {"maxPerCore": 0, "min": 0},
    });
    write_json(&directory.join("proxy.json"), &settings)
}
