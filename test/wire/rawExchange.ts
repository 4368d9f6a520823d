import * as net from "node:net";
import * as tls from "node:tls";
import { wire } from "./client.ts";

/** One request on a connection of its own: everything that came back until the service closed it, unparsed. */
export const rawExchange = (method: string, path: string): Promise<{ head: string; body: string }> => {
  const { url, key } = wire();
  const { protocol, hostname, host, port } = new URL(url);
  const secure = protocol === "https:";
  const where = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (secure ? 443 : 80)) };
  const socket = secure ? tls.connect({ ...where, servername: hostname }) : net.connect(where);
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`);
  return new Promise((resolve, reject) => {
    const chunks: Array<Buffer> = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("end", () => {
      const [head = "", ...body] = Buffer.concat(chunks).toString("utf8").split("\r\n\r\n");
      resolve({ head, body: body.join("\r\n\r\n") });
    });
  });
};
