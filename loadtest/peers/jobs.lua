-- The jobs for nginx with its Lua module.

local json = require "cjson.safe"

local function answer(kind, body)
    ngx.header["Content-Type"] = kind
    ngx.header["Content-Length"] = #body
    ngx.print(body)
end

local function hello()
    answer("text/plain", "Hello " .. ngx.var.arg_name)
end

local function composition()
    local rows = {}
    for id = 0, 19 do
        rows[id + 1] = { id = id, rank = id * 3, seen = id % 2 == 0, title = "Title " .. id }
    end
    answer("application/json", json.encode(rows))
end

local function read(reply)
    if reply.status ~= 200 then
        error("a service answered " .. reply.status)
    end
    return json.decode(reply.body)
end

local function fan_out()
    local profile, catalog, resume = ngx.location.capture_multi({
        { "/service/profile" },
        { "/service/catalog" },
        { "/service/resume" },
    })
    local merged = { hello = read(profile).name, resume = read(resume).items, rows = read(catalog).rows }
    answer("application/json", json.encode(merged))
end

return { hello = hello, composition = composition, fan_out = fan_out }
