/** Runs a program to its end, or to the end of its time. */
import { spawn } from 'node:child_process'

const LONGEST_TAIL = 4000

/** `{exit, late, stdout, stderr}`. The exit is a code, or the signal that ended it. */
export function finished({ program, args, env, cwd, input = '' }, limitMs) {
  return new Promise((resolve, reject) => {
    // A group of its own, so that what it started ends with it.
    const child = spawn(program, args, { env, cwd, detached: true, stdio: 'pipe' })
    const out = []
    const err = []
    let late = false
    const kill = () => {
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended already.
      }
    }
    const limit = setTimeout(() => {
      late = true
      kill()
    }, limitMs)
    child.stdout.on('data', (data) => out.push(data))
    child.stderr.on('data', (data) => err.push(data))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(limit)
      kill()
      resolve({
        exit: code ?? signal,
        late,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString().slice(-LONGEST_TAIL),
      })
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

/** The lines of JSON among others. */
export function jsonLines(text) {
  return text.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{') ? [JSON.parse(line)] : []
    } catch {
      return []
    }
  })
}
