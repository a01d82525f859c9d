//! A real Kubernetes for tests, from the programs that `make kube` builds: the API server alone, which is enough for most.

pub mod api_server;
mod etcd;
pub mod keeper;
pub mod kubeconfig;
pub mod pki;

pub use api_server::ApiServer;
