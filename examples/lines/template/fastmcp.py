# A family of resources, with FastMCP 4.1.
from fastmcp import FastMCP

mcp = FastMCP("weather")


@mcp.resource("weather://{city}")
def weather(city: str) -> str:
    return f"Rain in {city}."


mcp.run()
