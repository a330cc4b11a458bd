// MinimalRuntimeDO.ts - Durable Object hosting the minimal runtime
import { DurableObject } from 'cloudflare:workers'
import { invoke, loadAssembly } from './dotnet-runtime'

export class MinimalRuntimeDO extends DurableObject<Env> {
  private initialized = false

  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url)

    switch (url.pathname) {
      case '/invoke':
        return this.handleInvoke(request)
      case '/load':
        return this.handleLoad(request)
      case '/health':
        return this.handleHealth()
      default:
        return new Response('Not Found', { status: 404 })
    }
  }

  private async handleInvoke(request: Request): Promise<Response> {
    const { functionId, payload } = await request.json() as {
      functionId: string
      payload: number[]  // Byte array as JSON
    }

    try {
      const input = new Uint8Array(payload)
      const result = await invoke(functionId, input)

      return Response.json({
        success: true,
        result: Array.from(result)
      })
    } catch (error) {
      return Response.json({
        success: false,
        error: error instanceof Error ? error.message : 'Unknown error'
      }, { status: 500 })
    }
  }

  private async handleLoad(request: Request): Promise<Response> {
    const { functionId, assembly } = await request.json() as {
      functionId: string
      assembly: number[]  // Byte array as JSON
    }

    try {
      const success = await loadAssembly(functionId, new Uint8Array(assembly))
      return Response.json({ success })
    } catch (error) {
      return Response.json({
        success: false,
        error: error instanceof Error ? error.message : 'Unknown error'
      }, { status: 500 })
    }
  }

  private handleHealth(): Response {
    return Response.json({
      status: 'ok',
      runtime: 'dotnet-minimal',
      version: '8.0'
    })
  }
}
