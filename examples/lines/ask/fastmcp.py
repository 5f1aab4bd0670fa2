# A tool that logs, reports progress and asks the model, with FastMCP 4.1.
from fastmcp import Context, FastMCP

mcp = FastMCP("poems")


@mcp.tool
async def poem(ctx: Context) -> str:
    await ctx.info("asking")
    await ctx.report_progress(1)
    return (await ctx.sample("A poem.")).text


mcp.run()
