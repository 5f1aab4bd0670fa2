# A tool that says hello, with FastMCP 4.1.
from fastmcp import FastMCP

mcp = FastMCP("hello")


@mcp.tool
def hello() -> str:
    return "Hello."


mcp.run()
