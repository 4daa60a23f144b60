/** The way out, which leads nowhere: a proxy that refuses everyone, and remembers where they wanted to go. */
import { createServer } from 'node:http'
import { once } from 'node:events'

export class Outside {
  hosts = []
  #server

  async open() {
    this.#server = createServer((request, response) => this.#refuse(request.url, response.socket))
    this.#server.on('connect', (request, socket) => this.#refuse(request.url, socket))
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  /** Variables that send every program here, but for what is on this machine. */
  get variables() {
    const url = `http://127.0.0.1:${this.#server.address().port}`
    const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']
    const proxies = names.flatMap((name) => [[name, url], [name.toLowerCase(), url]])
    const none = '127.0.0.1,localhost'
    return Object.fromEntries([...proxies, ['NO_PROXY', none], ['no_proxy', none]])
  }

  close() {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #refuse(target, socket) {
    this.hosts.push(target)
    socket.destroy()
  }
}
