// Runs WebAssembly modules under node's WASI, one after the other: reads lines of JSON {"module": path, "args": [...]}
// from stdin and answers each by a line {"status": n, "out": text (one char a byte), "err": text}.
// A trap is status 134, as an abort would be; a module that does not compile or instantiate is status 126.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { WASI } from 'node:wasi';

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'lode-wasi-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));

async function runModule({ module, args }) {
  const outPath = path.join(scratch, 'out'), errPath = path.join(scratch, 'err');
  const out = fs.openSync(outPath, 'w'), err = fs.openSync(errPath, 'w'), input = fs.openSync('/dev/null', 'r');
  let status = 126, complaint = '';
  try {
    const wasi = new WASI({ version: 'preview1', args: [path.basename(module), ...(args ?? [])], env: {}, returnOnExit: true,
      stdin: input, stdout: out, stderr: err });
    const compiled = await WebAssembly.compile(fs.readFileSync(module));
    const instance = await WebAssembly.instantiate(compiled, { wasi_snapshot_preview1: wasi.wasiImport });
    try {
      status = wasi.start(instance) ?? 0;
    } catch (e) {
      status = 134;
      complaint = `error: ${e.message ?? e}`;
    }
  } catch (e) {
    complaint = `error: ${e.message ?? e}`;
  }
  for (const fd of [out, err, input]) fs.closeSync(fd);
  return { status, out: fs.readFileSync(outPath, 'latin1'), err: complaint + fs.readFileSync(errPath, 'latin1').slice(0, 2000) };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await runModule(JSON.parse(line))) + '\n');
}
