// The original has a Durable Object and no default handler: this one sends it every request. The
// first line is what Workers need, which forbid compiling: what they import is compiled already.
import './prelude'
import { MinimalRuntimeDO } from './MinimalRuntimeDO'

export { MinimalRuntimeDO }
export default {
  fetch: (request: Request, env: any) => env.DO.get(env.DO.idFromName('one')).fetch(request),
}
