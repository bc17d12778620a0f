// Validates custom resources, a JSON array on the standard input. Prints one error a line; fails if there is one.
// The models check types and patterns, the compiler of TypeScript finds unknown fields. The file must be beside node_modules.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const MODULES = {
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
  "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1",
  "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
};

const folder = dirname(fileURLToPath(import.meta.url));
const objects = JSON.parse(readFileSync(0, "utf8"));
const errors = [];
const lines = [];
for (const object of objects) {
  const name = `${object.kind} ${object.metadata.name}`;
  const module = MODULES[object.apiVersion];
  const model = module && (await import(`${module}/${object.kind}`))[object.kind];
  if (!model) {
    errors.push(`${name}: no schema for ${object.apiVersion}`);
    continue;
  }
  try {
    new model(object).validate();
  } catch (error) {
    errors.push(`${name}: ${error.message}`);
  }
  const index = lines.length;
  lines.push(
    `import { I${object.kind} as T${index} } from "${module}/${object.kind}"; const o${index}: T${index} = ${JSON.stringify(object)}; void o${index};`,
  );
}
const temporary = mkdtempSync(join(folder, "types-"));
try {
  const source = join(temporary, "objects.ts");
  writeFileSync(source, lines.join("\n"));
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"];
  execFileSync(process.execPath, [join(folder, "node_modules/typescript/bin/tsc"), ...options, source], { encoding: "utf8" });
} catch (error) {
  for (const line of String(error.stdout).split("\n").filter((line) => line.includes("error TS"))) {
    const object = objects[Number(line.match(/\((\d+),/)?.[1]) - 1];
    errors.push(`${object?.kind} ${object?.metadata.name}: ${line.slice(line.indexOf("error TS"))}`);
  }
  if (!errors.length) {
    errors.push(String(error));
  }
} finally {
  rmSync(temporary, { recursive: true });
}
for (const error of errors) {
  console.log(error);
}
process.exitCode = errors.length ? 1 : 0;
