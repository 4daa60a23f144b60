//! A bare nginx in front of the upstream: what a proxy costs that does nothing else.

use std::{fs, io, net::SocketAddr, path::Path, time::Duration};

use tokio::net::TcpStream;

use crate::{
    child::{Process, command, eventually},
    options::Options,
};

const START: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Nginx {
    pub process: Process,
    pub addr: SocketAddr,
}

impl Nginx {
    /// `folder` is its own; everything it writes goes there.
    pub(crate) async fn start(options: &Options, folder: &Path, upstream: SocketAddr) -> io::Result<Self> {
        let addr = free_address().await?;
        let file = folder.join("nginx.conf");
        fs::write(&file, config(folder, addr, upstream, options.proxy_threads()))?;
        let mut command = command(&options.nginx, options.pin_proxies.as_deref());
        command.arg("-p").arg(folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error.log"));
        let log = folder.join("output.log");
        let process = Process::logging("nginx", &mut command, &log)?;
        Ok(Self { process, addr })
    }

    /// Waits until it listens. Apart from the start, so that it can be stopped kindly meanwhile: killed, it would leave
    /// its workers behind.
    pub(crate) async fn listens(&self) -> io::Result<()> {
        eventually("nginx listens", START, || TcpStream::connect(self.addr)).await.map(|_| ())
    }
}

/// An address that nobody listens on at this moment.
pub(crate) async fn free_address() -> io::Result<SocketAddr> {
    tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()
}

fn config(folder: &Path, listen: SocketAddr, upstream: SocketAddr, workers: usize) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes {workers};
worker_rlimit_nofile 32768;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 128k;
    client_max_body_size 32m;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream emulator {{
        server {upstream};
        keepalive 4096;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://emulator;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
