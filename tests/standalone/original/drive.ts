// Drives the original host, which is beside this file, and writes what it answers in JSON.
import { readFileSync } from 'node:fs'
import { invoke, loadAssembly } from './dotnet-runtime'

const [, , ...files] = process.argv
const [probe, waiting, library] = files.map(file => readFileSync(file))
const printed: string[] = []
console.log = (...parts: unknown[]) => printed.push(parts.join(' '))

const answers: unknown[] = []
async function call(id: string, payload: string | Uint8Array) {
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
  try {
    const result = await invoke(id, bytes)
    answers.push(result.length > 1000 ? result.length : new TextDecoder().decode(result))
  } catch (error) {
    answers.push(String(error))
  }
}
const load = async (id: string, assembly: Uint8Array) => answers.push(await loadAssembly(id, assembly))

const start = performance.now()
await call('probe', 'not there yet')
const initialised = performance.now() - start
await load('probe', probe)
await call('probe', 'Ada')
await call('probe', 'throw')
await call('probe', 'print')
await call('probe', new Uint8Array(5 << 20).fill(65))
await load('probe', waiting)
await call('probe', 'ab')
await load('junk', new TextEncoder().encode('MZ no assembly'))
await call('junk', '')
await load('library', library)
await call('library', '[{"Name":"a","Prices":[1,2.5]},{"Name":"b","Prices":[3]},{"Name":"a","Prices":[4]}]')
await load('probe', probe)
for (let i = 0; i < 2000; i++) await invoke('probe', new TextEncoder().encode('Ada'))
const warm = performance.now()
for (let i = 0; i < 5000; i++) await invoke('probe', new TextEncoder().encode('Ada'))
const times = { initialised, warm: (performance.now() - warm) / 5000 }
process.stdout.write(JSON.stringify({ answers, printed, times }))
