-- wrk sends the body in the file that BODY names: JSON, or with HEADER_LENGTH a v2 request with binary tensors.
-- TOKEN is the bearer token that goes with it, if any.
local file = io.open(os.getenv("BODY"), "rb")
wrk.method = "POST"
wrk.body = file:read("*all")
file:close()
local length = os.getenv("HEADER_LENGTH")
if length then
  wrk.headers["Content-Type"] = "application/octet-stream"
  wrk.headers["Inference-Header-Content-Length"] = length
else
  wrk.headers["Content-Type"] = "application/json"
end
local token = os.getenv("TOKEN")
if token then
  wrk.headers["Authorization"] = "Bearer " .. token
end
